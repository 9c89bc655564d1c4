/** What apps say about themselves, as anybody may ask the notify server. */
import { type FetchDeps, fetchJson, httpFailure } from '../../platform/net/fetch-json.ts'
import { ProtocolError } from '../../protocol/errors.ts'

/** An app as the server lists it. */
export interface ListedApp {
  domain: string
  /** The domain, where the app declared no name. */
  name: string
  description: string
  /** Its page. */
  url: string
  icons: AppIcons
}

/** URLs of pictures of an app, by size; only those that it declared. */
export interface AppIcons {
  sm?: string
  md?: string
  lg?: string
}

/** A kind of notification that an app declares. */
export interface DeclaredType {
  id: string
  name: string
  description: string
  icons: AppIcons
}

/** A page of the apps that are listed. */
export interface AppPage {
  apps: ListedApp[]
  /** How many there are on all pages. */
  total: number
  hasMore: boolean
}

export const MAX_APPS_PER_PAGE = 100

const membersOf = (value: unknown): ReadonlyMap<string, unknown> =>
  new Map(typeof value === 'object' && value !== null ? Object.entries(value) : [])
const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')

const iconsOf = (value: unknown): AppIcons => {
  const members = membersOf(value)
  const [sm, md, lg] = ['sm', 'md', 'lg'].map((size) => textOf(members.get(size)))
  return { ...(sm && { sm }), ...(md && { md }), ...(lg && { lg }) }
}

/** Undefined for what names no domain. */
const appOf = (value: unknown): ListedApp[] => {
  const members = membersOf(value)
  const domain = textOf(members.get('id'))
  if (domain === '') return []
  return [
    {
      domain,
      name: textOf(members.get('name')) || domain,
      description: textOf(members.get('description')),
      url: textOf(members.get('homepage')),
      icons: iconsOf(members.get('image_url')),
    },
  ]
}

const typeOf = (value: unknown): DeclaredType[] => {
  const members = membersOf(value)
  const id = textOf(members.get('id'))
  if (id === '') return []
  return [
    {
      id,
      name: textOf(members.get('name')) || id,
      description: textOf(members.get('description')),
      icons: iconsOf(members.get('imageUrls')),
    },
  ]
}

/** The members of an answer. Throws what the server answered, or `unavailable`. */
const asked = async (deps: FetchDeps, url: string): Promise<ReadonlyMap<string, unknown>> => {
  const { status, body } = await fetchJson(deps, url)
  const members = membersOf(body)
  if (status === 200) return members
  throw httpFailure(status, textOf(members.get('error')))
}

/** A page of the listed apps, by their domains; the first page is 1. */
export const listedApps = async (
  deps: FetchDeps,
  notifyUrl: string,
  { page, limit }: { page: number; limit: number },
): Promise<AppPage> => {
  const query = new URLSearchParams({ entries: String(limit), page: String(page) })
  const members = await asked(deps, `${notifyUrl}/w3i/v1/projects?${query}`)
  const total = members.get('count')
  if (typeof total !== 'number')
    throw new ProtocolError('unavailable', 'the notify server answered something else')
  const apps = [...membersOf(members.get('projects')).values()].flatMap(appOf)
  return { apps, total, hasMore: page * limit < total }
}

/** The types of notifications that an app declares. Throws `unknown_app`, or `unavailable`. */
export const declaredTypes = async (
  deps: FetchDeps,
  notifyUrl: string,
  { domain, projectId }: { domain: string; projectId: string | undefined },
): Promise<DeclaredType[]> => {
  const query = new URLSearchParams({ projectId: projectId ?? '', appDomain: domain })
  const members = await asked(deps, `${notifyUrl}/w3i/v1/notify-config?${query}`)
  const types = membersOf(members.get('data')).get('notificationTypes')
  return Array.isArray(types) ? types.flatMap(typeOf) : []
}
