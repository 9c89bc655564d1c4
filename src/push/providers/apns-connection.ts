/** The connection to one environment of Apple's push service: many requests on it at a time, as many as the server takes. */
import { type ClientHttp2Session, connect, constants } from 'node:http2'
import type { SecureContextOptions } from 'node:tls'
import { MAX_ANSWER_BYTES, SEND_TIMEOUT_MS } from './provider.ts'

export interface Answered {
  status: number
  retryAfter: string | undefined
  body: string
}

/** The request was not looked at: the connection was going away, or had too many. */
class NotProcessed extends Error {
  override message = 'it did not look at the request'
}
/** Its body says nothing; that of every other status says why. */
const TAKEN = 200
/** Requests for one push, all but the last of them not looked at. */
const MAX_ATTEMPTS = 3

/**
 * One request on a connection. Rejects when it ends without a whole answer. What was taken is told at once: a push whose body
 * breaks off, or never ends, is not to be sent again.
 */
const askOn = (
  session: ClientHttp2Session,
  headers: Record<string, string>,
  payload: Buffer,
  signal: AbortSignal,
): Promise<Answered> =>
  new Promise((resolve, reject) => {
    if (signal.aborted) return reject(new Error('it did not answer in time'))
    const stream = session.request({ ...headers, 'content-length': String(payload.length) })
    let status = 0
    let retryAfter: string | undefined
    let body = ''
    let isLeaving = false
    const leave = () => {
      isLeaving = true
    }
    const abort = () => {
      if (status === TAKEN) return stream.close(constants.NGHTTP2_CANCEL)
      // A connection on which nothing comes back may be dead; others on it would wait, too.
      session.destroy()
      reject(new Error('it did not answer in time'))
    }
    session.once('goaway', leave)
    signal.addEventListener('abort', abort, { once: true })
    stream
      .setEncoding('utf8')
      .on('response', (answer) => {
        status = Number(answer[':status'] ?? 0)
        const said = answer['retry-after']
        retryAfter = Array.isArray(said) ? said[0] : said
        if (status === TAKEN) resolve({ status, retryAfter, body })
      })
      .on('data', (text: string) => {
        body += text
        if (body.length > MAX_ANSWER_BYTES) stream.close(constants.NGHTTP2_CANCEL)
      })
      // What it means is seen when it is closed.
      .on('error', () => {})
      .on('close', () => {
        session.off('goaway', leave)
        signal.removeEventListener('abort', abort)
        const { rstCode, aborted, readableEnded } = stream
        if (readableEnded && !aborted && rstCode === 0 && status !== 0)
          return resolve({ status, retryAfter, body })
        const isUnread = status === 0 && (isLeaving || rstCode === constants.NGHTTP2_REFUSED_STREAM)
        reject(isUnread ? new NotProcessed() : new Error('it ended the answer half way'))
      })
      .end(payload)
  })

interface Opened {
  session: ClientHttp2Session
  /** The server has said how many requests it takes at once: Apple takes one until it knows the token. */
  ready: Promise<void>
}

const openSession = (url: string, tls: SecureContextOptions): Opened => {
  const session = connect(url, tls)
  const ready = new Promise<void>((resolve, reject) => {
    session
      .once('remoteSettings', () => resolve())
      // Streams report what happens to them later.
      .on('error', reject)
      .once('close', () => reject(new Error('it closed the connection')))
  })
  ready.catch(() => {})
  session.setMaxListeners(0)
  session.unref()
  return { session, ready }
}

const untilReady = async ({ session, ready }: Opened, signal: AbortSignal): Promise<void> => {
  const abort = () => session.destroy()
  signal.addEventListener('abort', abort, { once: true })
  try {
    await ready
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

/** The connection of one environment, made when it is needed, and made anew after it broke off. */
export const createConnection = (url: string, tls: SecureContextOptions) => {
  let opened: Opened | undefined
  const forget = (one: Opened) => {
    if (opened === one) opened = undefined
  }
  const open = (): Opened => {
    if (opened && !opened.session.closed && !opened.session.destroyed) return opened
    const next = openSession(url, tls)
    next.session.once('error', () => forget(next)).once('goaway', () => forget(next))
    opened = next
    return next
  }
  return {
    async ask(headers: Record<string, string>, payload: Buffer, signal: AbortSignal): Promise<Answered> {
      const ending = AbortSignal.any([AbortSignal.timeout(SEND_TIMEOUT_MS), signal])
      for (let attempt = 1; ; attempt++) {
        const current = open()
        try {
          await untilReady(current, ending)
          return await askOn(current.session, headers, payload, ending)
        } catch (error) {
          const isUnread = error instanceof NotProcessed
          if (!isUnread || attempt > 1) {
            // The others on it go on; nothing new begins there.
            forget(current)
            current.session.close()
          }
          if (!isUnread || attempt >= MAX_ATTEMPTS) throw error
        }
      }
    },
    [Symbol.dispose]: () => opened?.session.destroy(),
  }
}
