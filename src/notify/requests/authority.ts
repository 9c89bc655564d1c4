/**
 * What an identity key may do, read from the CACAO that its owner signed (protocol.md §7.4): manage the notifications
 * of all apps, or of one. A recap decides where there is one; otherwise the statement does, literally.
 */
import { type Cacao, signedStatement } from '../../protocol/cacao.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { parseRecap, recapStatement } from '../../protocol/recap.ts'
import { withoutTrailingSlashes } from '../../protocol/urls.ts'

export type Authority = { kind: 'all' } | { kind: 'app'; domain: string }

const identityStatement = (scope: string) =>
  `I further authorize this app to send and receive messages on my behalf ${scope}using my WalletConnect identity. Read more at https://walletconnect.com/identity`

const manageAll = (page: string) =>
  `I further authorize this app to view and manage my notifications for ALL apps. Read more at https://walletconnect.com/${page}`

const THIS_APP: ReadonlySet<string> = new Set([
  'I further authorize this app to send me notifications. Read more at https://walletconnect.com/notifications',
  identityStatement('for THIS domain '),
])

const ALL_APPS: ReadonlySet<string> = new Set([
  manageAll('notifications-all-apps'),
  manageAll('notifications'),
  identityStatement('for ALL domains '),
  identityStatement(''),
])

const refused = (why: string) => new ProtocolError('app_not_authorized', why)

const ABILITY = /^manage\/(.+)-notifications$/

/** `notifyUrls`: the URIs by which recaps may name this server; a trailing slash makes no difference. */
export const authorityOf = (cacao: Cacao, { notifyUrls }: { notifyUrls: readonly string[] }): Authority => {
  const statement = signedStatement(cacao)
  const recap = parseRecap(cacao.p.resources)
  if (recap === undefined) {
    if (ALL_APPS.has(statement)) return { kind: 'all' }
    if (THIS_APP.has(statement)) return { kind: 'app', domain: cacao.p.domain }
    throw refused('the statement of the identity key allows nothing here')
  }

  // Wallets show the statement, not the recap: an ability that the statement lacks was not granted.
  if (!statement.endsWith(recapStatement(recap))) throw refused('the statement does not name the recap')
  const own = new Set(notifyUrls.map(withoutTrailingSlashes))
  const abilities = Object.entries(recap.att)
    .filter(([uri]) => own.has(withoutTrailingSlashes(uri)))
    .flatMap(([, granted]) => Object.keys(granted))
  const [ability, ...more] = abilities
  if (ability === undefined || more.length > 0) throw refused('the recap must grant exactly one ability here')
  const scope = ABILITY.exec(ability)?.[1]
  if (scope === undefined) throw refused('the recap grants another ability')
  return scope === 'all-apps' ? { kind: 'all' } : { kind: 'app', domain: scope }
}

/** Throws `app_not_authorized` unless the authority covers the app; null stands for all apps. */
export const authorize = (authority: Authority, domain: string | null): void => {
  if (authority.kind === 'all') return
  if (domain !== authority.domain) throw new ProtocolError('app_not_authorized')
}
