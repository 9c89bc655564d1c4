/**
 * Environments of processes that a signal strikes in the middle of their work, from within: a process goes on, and is perhaps
 * done, before somebody who watches it is given a core.
 */

/** A server that is killed when it has sealed so many texts since it was ready. */
export const strikesAtSeal = (seals: number): NodeJS.ProcessEnv => ({
  NODE_OPTIONS: `--import ${new URL('./strike.mjs', import.meta.url).href}`,
  STRIKE_AT_SEAL: String(seals),
})

interface Strike {
  stream: 'stdout' | 'stderr'
  /** It strikes when all that the stream was given has this in it. */
  says: RegExp
  signal: NodeJS.Signals
  /** Its first group is the pid of another process that is struck, of all that was said. Default: the process itself. */
  whom?: RegExp
}

/** Any command, when it says something. */
export const strikesWhenItSays = ({ stream, says, signal, whom }: Strike): NodeJS.ProcessEnv => {
  const script = `
    const write = process.${stream}.write.bind(process.${stream})
    let said = ''
    let isDone = false
    process.${stream}.write = (text, ...rest) => {
      const answer = write(text, ...rest)
      said += text
      if (!isDone && ${says}.test(said)) {
        isDone = true
        process.kill(${whom ? `Number(${whom}.exec(said)[1])` : 'process.pid'}, '${signal}')
      }
      return answer
    }`
  return { NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(script)}` }
}
