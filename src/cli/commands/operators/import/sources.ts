/** What an import is made from: a file, or an address that answers; bounded in size and time. */
import { open } from 'node:fs/promises'
import { readText } from '../../../../platform/net/fetch-json.ts'
import { ProtocolError } from '../../../../protocol/errors.ts'
import { CommandFailure } from '../../../command-failure.ts'

const TIMEOUT_MS = 15_000

const tooLarge = (place: string, most: number) =>
  new CommandFailure(`${place} is too large: at most ${most} bytes are read.`)

const fileText = async (path: string, most: number): Promise<string> => {
  const file = await open(path).catch((cause: unknown) => {
    throw new CommandFailure(`The file ${path} cannot be read.`, { cause })
  })
  try {
    const bytes = Buffer.alloc(most + 1)
    let length = 0
    for (;;) {
      const { bytesRead } = await file.read(bytes, length, bytes.length - length).catch((cause: unknown) => {
        throw new CommandFailure(`The file ${path} cannot be read.`, { cause })
      })
      length += bytesRead
      if (length > most) throw tooLarge(path, most)
      if (bytesRead === 0) return bytes.toString('utf8', 0, length)
    }
  } finally {
    await file.close()
  }
}

/** Without the query, which may hold a token. */
const shown = (url: URL): string => url.origin + url.pathname

const answerText = async (url: URL, most: number): Promise<string> => {
  const failed = (why: string, cause?: unknown) => new CommandFailure(`${shown(url)} ${why}.`, { cause })
  try {
    const headers = { accept: 'application/json' }
    const response = await fetch(url, { headers, signal: AbortSignal.timeout(TIMEOUT_MS) })
    if (!response.ok) throw failed(`answered ${response.status}`)
    return await readText(response, most)
  } catch (cause) {
    if (cause instanceof CommandFailure) throw cause
    if (cause instanceof ProtocolError && cause.code === 'too_large') throw tooLarge(shown(url), most)
    throw failed('does not answer', cause)
  }
}

export const urlIn = (source: string): URL | undefined =>
  /^https?:\/\//i.test(source) && URL.canParse(source) ? new URL(source) : undefined

/** The text of a file or of an answer. Throws `CommandFailure`. */
export const sourceText = (source: string, most: number): Promise<string> => {
  const url = urlIn(source)
  return url ? answerText(url, most) : fileText(source, most)
}

export const sourceJson = async (source: string, most: number): Promise<unknown> => {
  const text = await sourceText(source, most)
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new CommandFailure(`${source.split('?')[0]} holds no JSON.`, { cause })
  }
}
