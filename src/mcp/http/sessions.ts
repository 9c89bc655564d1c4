/**
 * Sessions of Streamable HTTP. All of them are of one owner, who has the token.
 *
 * A session ends when its client says so, an hour after its last request, or when others need its place: then it is the one
 * whose last request is the oldest. A client whose session has ended is answered 404 and begins another one. What it waited
 * for is kept by the notify server.
 */

import { WebStandardStreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/webStandardStreamableHttp.js'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'
import type { Clock } from '../../platform/runtime/clock.ts'

const MAX_SESSIONS = 64
/** Longer than any call waits. */
const IDLE_MS = 3_600_000
const MAX_BODY_BYTES = 262_144

/** What speaks with a client on a transport. */
interface Speaker {
  connect(transport: Transport): Promise<void>
  close(): Promise<void>
}

export interface Sessions extends AsyncDisposable {
  handle(request: Request): Promise<Response>
  readonly size: number
}

interface Session {
  transport: WebStandardStreamableHTTPServerTransport
  speaker: Speaker
  idle?: Disposable
}

const refused = (status: number, message: string): Response =>
  Response.json({ jsonrpc: '2.0', error: { code: -32000, message }, id: null }, { status })

export const createSessions = (
  { clock, newSpeaker }: { clock: Clock; newSpeaker(): Speaker },
  { most = MAX_SESSIONS, idleMs = IDLE_MS }: { most?: number; idleMs?: number } = {},
): Sessions => {
  /** The one that was used last comes last. */
  const sessions = new Map<string, Session>()

  const end = async (id: string): Promise<void> => {
    const session = sessions.get(id)
    if (!session) return
    sessions.delete(id)
    session.idle?.[Symbol.dispose]()
    await session.speaker.close()
  }

  const used = (id: string, session: Session): void => {
    session.idle?.[Symbol.dispose]()
    session.idle = clock.after(idleMs, () => void end(id))
    sessions.delete(id)
    sessions.set(id, session)
  }

  const begin = async (request: Request): Promise<Response> => {
    const speaker = newSpeaker()
    const transport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: () => globalThis.crypto.randomUUID(),
      maxRequestBodySize: MAX_BODY_BYTES,
      onsessioninitialized: async (id) => {
        used(id, { transport, speaker })
        const [oldest] = sessions.keys()
        if (sessions.size > most && oldest !== undefined) await end(oldest)
      },
      onsessionclosed: end,
    })
    await speaker.connect(transport)
    const response = await transport.handleRequest(request)
    // It was no initialisation, and has been answered as such.
    if (transport.sessionId === undefined) await speaker.close()
    return response
  }

  return {
    get size() {
      return sessions.size
    },

    async handle(request) {
      const id = request.headers.get('mcp-session-id')
      if (id === null) {
        if (request.method === 'POST') return begin(request)
        return refused(400, 'Mcp-Session-Id header is required')
      }
      const session = sessions.get(id)
      if (!session) return refused(404, 'Session not found')
      used(id, session)
      return session.transport.handleRequest(request)
    },

    async [Symbol.asyncDispose]() {
      await Promise.all([...sessions.keys()].map(end))
    },
  }
}
