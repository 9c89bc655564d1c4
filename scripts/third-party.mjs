// Licences of the libraries whose code is part of what is built: their authors ask that their notices go with it.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** The folder of the package that holds the file; undefined for our own. A package within a package is one of its own. */
const packageOf = (path) => {
  const found = /^(?:.*[\\/])?node_modules[\\/](?:@[^\\/]+[\\/])?[^\\/]+/.exec(path.replace(/^\0/, ''))
  return found?.[0]
}

const LICENCE_FILE = /^(licen[cs]e|copying|notice)([.-].*)?$/i

const noticeOf = (folder) => {
  const {
    name,
    version,
    license = 'no licence named',
  } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  const texts = readdirSync(folder)
    .filter((file) => LICENCE_FILE.test(file))
    .sort()
    .map((file) => readFileSync(join(folder, file), 'utf8').trim())
  return [`${name} ${version} (${license})`, ...texts].join('\n\n')
}

/**
 * @param files paths of all that was bundled, ours too
 * @returns the notices of their packages, one after the other
 */
export const thirdPartyNotices = (files) => {
  const folders = new Set(
    files.map(packageOf).filter((folder) => folder && existsSync(join(folder, 'package.json'))),
  )
  const notices = new Set([...folders].map(noticeOf))
  return `${[...notices].sort().join(`\n\n${'-'.repeat(80)}\n\n`)}\n`
}
