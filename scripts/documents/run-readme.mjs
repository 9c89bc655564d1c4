// Does what the README says, on a server of its own: starts it, declares the app, runs the programs that it shows.
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const MAIN = 'dist/cli/main.js'
const TIMEOUT_MS = 30_000
/** Settings of who runs this are not those of the README. */
const ENVIRONMENT = { PATH: process.env.PATH, NO_COLOR: '1' }

/** A process, and what it has printed; `until` resolves when that matches, and rejects when the process ends before. */
const start = (args, env = {}) => {
  const child = spawn(process.execPath, args, { env: { ...ENVIRONMENT, ...env } })
  const said = { out: '', err: '' }
  const watchers = new Set()
  const ended = new Promise((resolve) => child.once('close', resolve))
  const hear = (stream) => (text) => {
    said[stream] += text
    for (const watcher of watchers) watcher()
  }
  child.stdout.on('data', hear('out'))
  child.stderr.on('data', hear('err'))
  return {
    said,
    until: (pattern) =>
      new Promise((resolve, reject) => {
        const fail = () =>
          reject(new Error(`${args.join(' ')} did not print ${pattern}: ${said.out}${said.err}`))
        const late = setTimeout(fail, TIMEOUT_MS)
        const look = () => {
          const found = pattern.exec(said.out)
          if (found) {
            clearTimeout(late)
            resolve(found)
          }
        }
        watchers.add(look)
        ended.then(() => {
          clearTimeout(late)
          fail()
        })
        look()
      }),
    async end() {
      child.kill()
      await ended
    },
  }
}

/** The labels of what a first start prints must be those that the README shows. */
const bannerMistakes = (readme, banner) =>
  banner.split('\n').flatMap((line) => {
    const [label] = /^ {2}[a-zA-Z ]+? {2,}|^[A-Z][^{]*[.:]$/.exec(line) ?? []
    return label === undefined || readme.includes(`\n${label}`) ? [] : [`README.md does not show: ${line}`]
  })

/** `programs`: text by file name, as the README shows them. Returns a sentence for each mistake. */
export const runReadme = async (readme, programs) => {
  const home = mkdtempSync(join(tmpdir(), 'belfry-readme-'))
  // Below the package, so that `belfry/…` is the package itself.
  const directory = mkdtempSync(join(process.cwd(), '.documents-'))
  const running = []
  const mistakes = []
  const run = (...args) => {
    const child = start(...args)
    running.push(child)
    return child
  }
  try {
    const server = run([MAIN, 'serve', '--port', '0', '--data', join(home, 'data')])
    const [ready] = await server.until(/\{"ready":true.*\}/)
    const { url } = JSON.parse(ready)
    mistakes.push(...bannerMistakes(readme, server.said.err))

    // The commands as they stand, with the place of this server's data behind them.
    const wordsOf = (command) => {
      const [, line = ''] = new RegExp(`^npx belfry (${command} .*)$`, 'm').exec(readme) ?? []
      const typed = (line.match(/'[^']*'|\S+/g) ?? []).map((word) => word.replaceAll("'", ''))
      return [MAIN, ...typed, '--data', join(home, 'data')]
    }
    const added = spawnSync(process.execPath, [...wordsOf('app add'), '--json'], { env: ENVIRONMENT })
    const listener = run(wordsOf('listen'))
    await listener.until(/is subscribed/)
    spawnSync(process.execPath, wordsOf('notify'), { env: ENVIRONMENT })
    const [shown] = await listener.until(/News {2}.*$/m)
    if (!readme.includes(`\`${shown}\``)) mistakes.push(`README.md does not say that listen prints ${shown}`)
    await listener.end()
    const app = JSON.parse(String(added.stdout))

    for (const [name, text] of Object.entries(programs)) writeFileSync(join(directory, name), text)
    const env = {
      BELFRY_SERVER: url,
      PROJECT_ID: app.projectId,
      PROJECT_SECRET: app.secret,
      TYPE_ID: app.types[0].id,
    }
    const wallet = run([join(directory, 'wallet.mjs')], env)
    await wallet.until(/is subscribed/)
    for (const expected of [/^1 sent, 0 failed$/m, /^1 sent, 0 failed$/m]) {
      await run([join(directory, 'dapp.mjs')], env).until(expected)
    }
    const [line] = await wallet.until(/^\S+: Hello$/m)
    if (!readme.includes(`\`${line}\``))
      mistakes.push(`README.md does not say that the wallet prints ${line}`)
    if (wallet.said.out.split(line).length !== 2)
      mistakes.push('README.md: the wallet got the same notification twice')
    return mistakes
  } catch (error) {
    return [...mistakes, `What README.md shows does not work: ${error.message}`]
  } finally {
    await Promise.all(running.map((child) => child.end()))
    for (const path of [home, directory]) rmSync(path, { recursive: true, force: true })
  }
}
