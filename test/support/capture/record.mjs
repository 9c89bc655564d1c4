/**
 * What a test run writes down so that it can be searched for secrets at its end (search.ts): what Belfry logs, its
 * metrics, the bodies of its errors, and every secret that a process knows. Plain JavaScript, because server processes
 * load it, too. Synchronous, because they are killed. Does nothing outside of a run.
 */
import { openSync, writeSync } from 'node:fs'
import { join } from 'node:path'

const directory = process.env.BELFRY_TEST_CAPTURE

/** Bytes of one kind that one process may write: a test that floods the log must not fill the disk. */
const MOST = 16_000_000
/** By kind: what is open, and how much was written. */
const files = new Map()

const append = (kind, line) => {
  if (directory === undefined) return
  const file = files.get(kind) ?? {
    descriptor: openSync(join(directory, `${kind}-${process.pid}.txt`), 'a'),
    sum: 0,
  }
  files.set(kind, file)
  file.sum += line.length
  if (file.sum <= MOST) writeSync(file.descriptor, line)
}

export const isCapturing = directory !== undefined

/** `what`: log, metrics, errors. */
export const capture = (what, text) => append(what, text.endsWith('\n') ? text : `${text}\n`)

const known = new Set()

/** From here on this must stand nowhere. Bytes are looked for in every form that we write bytes in. */
export const knownSecret = (kind, secret) => {
  if (directory === undefined || !secret) return
  const form = typeof secret === 'string' ? 'text' : 'bytes'
  const line = `${kind}\t${form}\t${Buffer.from(secret).toString('hex')}\n`
  if (known.has(line)) return
  known.add(line)
  append('secrets', line)
}

/** Where a secret stands among the arguments of what uses it. */
const SECRETS = {
  hmacSha256: ['symmetric key', 0],
  hkdfSha256: ['secret', 0],
  x25519PublicKey: ['private key', 0],
  x25519: ['private key', 0],
  ed25519PublicKey: ['private key', 0],
  ed25519Sign: ['private key', 1],
  seal: ['symmetric key', 0],
  open: ['symmetric key', 0],
}

/** Every key that is used becomes known: of servers, apps, subscriptions, watchers, wallets, and whoever else there is. */
export const watchCrypto = (crypto) => {
  if (directory === undefined) return
  // The same array again and again is the common case.
  const seen = new WeakSet()
  for (const [name, [kind, at]] of Object.entries(SECRETS)) {
    const operation = crypto[name]
    crypto[name] = (...args) => {
      const secret = args[at]
      if (secret instanceof Uint8Array && !seen.has(secret)) {
        seen.add(secret)
        knownSecret(kind, secret)
      }
      return operation(...args)
    }
  }
}
