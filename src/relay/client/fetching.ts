import { ProtocolError } from '../../protocol/errors.ts'
import { fetched, LIMITS } from '../../protocol/relay/delivered.ts'
import { createCaller } from './calls.ts'
import type { Connection } from './connection.ts'
import type { RelayMessage } from './receiving.ts'

interface Page {
  messages: RelayMessage[]
  hasMore: boolean
}

/** Takes what waits on topics, page by page. `failure`: why there will be no connection any more. */
export const createFetching = ({
  connection,
  ready,
  failure,
}: {
  connection: Pick<Connection, 'request'>
  ready: () => Promise<void>
  failure: () => ProtocolError | undefined
}) => {
  const call = createCaller<string>(connection.request, {
    batch: { method: 'irn_batchFetchMessages', params: (batch) => ({ topics: batch }) },
    single: { method: 'irn_fetchMessages', params: (topic) => ({ topic }) },
  })

  /** One page of each topic. A batch is answered once for all its topics, so the same answer is seen many times. */
  const fetchPage = (batch: readonly string[]): Promise<Page> =>
    new Promise((resolve, reject) => {
      const answers = new Set<unknown>()
      let isCutOff = false
      let refused: ProtocolError | undefined
      call(
        batch,
        (_topic, outcome) => {
          if (outcome.kind === 'answered') answers.add(outcome.result)
          else if (outcome.kind === 'refused') refused = outcome.error
          else isCutOff = true
        },
        () => {
          const error = refused ?? failure()
          if (error) reject(error)
          else settlePage(answers, isCutOff, resolve, reject)
        },
      )
    })

  return async (topics: readonly string[]): Promise<RelayMessage[]> => {
    const messages: RelayMessage[] = []
    for (let at = 0; at < topics.length; at += LIMITS.batch) {
      const batch = topics.slice(at, at + LIMITS.batch)
      for (;;) {
        await ready()
        const page = await fetchPage(batch)
        messages.push(...page.messages)
        if (!page.hasMore) break
      }
    }
    return messages
  }
}

const settlePage = (
  answers: ReadonlySet<unknown>,
  isCutOff: boolean,
  resolve: (page: Page) => void,
  reject: (error: ProtocolError) => void,
): void => {
  try {
    resolve(pageOf([...answers], isCutOff))
  } catch (cause) {
    reject(new ProtocolError('bad_request', 'the relay answered a fetch with something else', { cause }))
  }
}

/** What was answered counts as delivered, so a partial answer is handed on and the rest asked for again. */
const pageOf = (answers: readonly unknown[], isCutOff: boolean): Page => {
  const pages = answers.map((answer) => fetched.parse(answer))
  return {
    messages: pages.flatMap((page) => page.messages),
    hasMore: isCutOff || pages.some((page) => page.hasMore && page.messages.length > 0),
  }
}
