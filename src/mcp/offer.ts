/** What an agent is offered, by what it was given: a project and an app, an inbox, or both. */
import { createContractWallets } from '../platform/net/contract-wallets.ts'
import type { FetchDeps } from '../platform/net/fetch-json.ts'
import type { Log } from '../platform/telemetry.ts'
import { createDapp } from '../sdk/dapp.ts'
import { ASKING_PROMPTS } from './prompts.ts'
import { createQuestions } from './questions/questions.ts'
import { createServerTime } from './questions/server-time.ts'
import { createResources } from './resources.ts'
import type { Offer } from './server.ts'
import { createQuestionTools } from './tools/ask.ts'
import { createInboxTools, type OpenInbox } from './tools/inbox.ts'
import { createLookTools } from './tools/look.ts'
import { createSendTools } from './tools/send.ts'

/** By which published wallets name the notify server in recaps. */
const PUBLISHED_NOTIFY_URL = 'https://notify.walletconnect.com'

export interface AgentOptions {
  /** URL of the notify server. */
  url: string
  /** The app that the agent speaks for. */
  app?: { domain: string; projectId: string; secret: string } | undefined
  /** Nodes that are asked whether a smart account signed, by CAIP-2 chain. Absent: its answers do not count. */
  rpcUrls?: Readonly<Record<string, string>> | undefined
  /** Only tools that change nothing. */
  isReadOnly: boolean
}

export const createOffer = (
  deps: FetchDeps & { log: Log; openInbox?: OpenInbox | undefined },
  { url, app, rpcUrls, isReadOnly }: AgentOptions,
): Offer => {
  const groups: { sends: Offer['tools']; reads: Offer['tools'] }[] = []
  if (deps.openInbox) groups.push(createInboxTools(deps.openInbox))
  let more: Omit<Offer, 'tools'> = {}
  if (app) {
    const { domain, projectId, secret } = app
    const serverTime = createServerTime(deps)
    const dapp = createDapp({ url, projectId, secret, domain }, { ...deps, fetch: serverTime.fetch })
    const notifyUrls = [url, PUBLISHED_NOTIFY_URL]
    const verifySignature =
      rpcUrls && createContractWallets({ clock: deps.clock, log: deps.log }, { rpcUrls })
    const questions = createQuestions(
      { dapp, clock: deps.clock, serverNow: serverTime.now, verifySignature },
      { domain, notifyUrls },
    )
    groups.unshift(createSendTools({ dapp, clock: deps.clock }), createQuestionTools(questions), {
      sends: [],
      reads: createLookTools(dapp),
    })
    const resources = createResources(deps, { url, domain, questions })
    more = { resources, ...(!isReadOnly && { prompts: ASKING_PROMPTS }) }
  }
  const tools = groups.flatMap(({ sends, reads }) => [...(isReadOnly ? [] : sends), ...reads])
  return { tools, ...more }
}
