/**
 * Looks for secrets in what a test run wrote down (record.mjs). A finding says where and what kind, never the secret.
 *
 * Of bytes: hex in both cases, base64, base64url, and numbers with commas. Of texts: themselves, and these forms of
 * their bytes. And whatever looks like a token, known or not.
 */
import { createReadStream } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

export interface Finding {
  file: string
  line: number
  kind: string
  form: string
}

export interface Searched {
  secrets: number
  bytes: number
  findings: Finding[]
}

/** How much of a secret is looked up first. What is shorter can be guessed, or stands somewhere by chance. */
const PROBE = 16
/** Below this many different bytes it was made up by a test, and the test may use it as a topic, too. */
const FEWEST_VALUES = 12
/** Anything that is not of these ends a text in which a secret could stand. */
const RUN = /[\w+/=-]{16,}/g
const NUMBERS = /(?:\d{1,3},\s?){15,}\d{1,3}/g
const TOKENS: readonly [string, RegExp][] = [
  ['a JWT', /eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}/],
  ['a bearer token', /\bbearer\s+[\w+/=.-]{16,}/i],
]

type Entry = Pick<Finding, 'kind' | 'form'> & { whole: string }

const linesOf = (path: string) => createInterface({ input: createReadStream(path), crlfDelay: Infinity })

const formsOf = (bytes: Buffer): [string, string][] => [
  ['hex', bytes.toString('hex')],
  ['base64', bytes.toString('base64').replace(/=+$/, '')],
  ['base64url', bytes.toString('base64url')],
  ['numbers', [...bytes].join(',')],
]

const loadSecrets = async (directory: string, files: readonly string[]) => {
  const index = new Map<string, Entry[]>()
  const known = new Set<string>()
  for (const file of files) {
    for await (const line of linesOf(join(directory, file))) {
      const [kind = '', form = '', hex = ''] = line.split('\t')
      const bytes = Buffer.from(hex, 'hex')
      if (known.has(hex) || bytes.length < PROBE || new Set(bytes).size < FEWEST_VALUES) continue
      known.add(hex)
      const forms = formsOf(bytes)
      if (form === 'text') forms.push(['text', bytes.toString('utf8')])
      for (const [name, whole] of forms) {
        const probe = whole.slice(0, PROBE)
        const entries = index.get(probe)
        const entry = { kind, form: name, whole }
        if (entries) entries.push(entry)
        else index.set(probe, [entry])
      }
    }
  }
  return { index, secrets: known.size }
}

export const search = async (directory: string): Promise<Searched> => {
  const files = (await readdir(directory)).sort()
  const isSecrets = (file: string) => file.startsWith('secrets-')
  const { index, secrets } = await loadSecrets(directory, files.filter(isSecrets))
  const findings: Finding[] = []
  let bytes = 0
  // Topics and names come again in every line.
  const clean = new Set<string>()

  const entryIn = (run: string): Entry | undefined => {
    for (let at = 0; at + PROBE <= run.length; at++) {
      const entries = index.get(run.slice(at, at + PROBE))
      const found = entries?.find(({ whole }) => run.startsWith(whole, at))
      if (found) return found
    }
    return undefined
  }
  const look = (run: string): Entry | undefined => {
    if (clean.has(run)) return undefined
    const found = entryIn(run) ?? (/[A-F]/.test(run) ? entryIn(run.toLowerCase()) : undefined)
    if (!found && clean.size < 500_000) clean.add(run)
    return found
  }

  for (const file of files.filter((each) => !isSecrets(each))) {
    let line = 0
    for await (const text of linesOf(join(directory, file))) {
      line += 1
      bytes += text.length + 1
      for (const [run] of text.matchAll(RUN)) {
        const found = look(run)
        if (found) findings.push({ file, line, kind: found.kind, form: found.form })
      }
      for (const [run] of text.matchAll(NUMBERS)) {
        const found = look(run.replace(/\s/g, ''))
        if (found) findings.push({ file, line, kind: found.kind, form: found.form })
      }
      for (const [kind, look] of TOKENS) {
        if (look.test(text)) findings.push({ file, line, kind, form: 'text' })
      }
    }
  }
  return { secrets, bytes, findings }
}
