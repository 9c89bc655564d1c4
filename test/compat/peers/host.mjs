/*
 * What every peer process does: it holds one published client and does what the test tells it over the process channel.
 * An unhandled rejection inside the client ends the process, as it would end a wallet; the test that owns the
 * process then fails (see ../peer.ts).
 */

/** Answers `{id, method, args}` with `{id, result}` or `{id, error}`. */
export const serve = (methods) => {
  process.on('message', async ({ id, method, args }) => {
    try {
      const result = await methods[method](...args)
      process.send({ id, result: result === undefined ? null : result })
    } catch (error) {
      process.send({ id, error: error?.message ?? JSON.stringify(error) })
    }
  })
  process.on('disconnect', () => process.exit())
  process.send({ ready: true })
}

/** Tells the test that something happened. */
export const tell = (event, data) => process.send({ event, data })
