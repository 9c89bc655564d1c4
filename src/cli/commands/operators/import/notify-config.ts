/**
 * Apps in the shapes in which the hosted service tells of them, as declarations of this server's.
 *
 * | shape | of |
 * |---|---|
 * | `{data: {name, description, dapp_url, homepage, image_url, notificationTypes}}` | `GET /w3i/v1/notify-config`; also without `data`, or a list of them |
 * | `{projects: {id: {…}}}` | `GET /w3i/v1/projects`; it names no types |
 */
import * as z from 'zod'
import { CommandFailure } from '../../../command-failure.ts'

const MAX_APPS = 100

const optional = z
  .string()
  .nullish()
  .transform((value) => value ?? undefined)
const Pictures = z
  .object({ sm: optional, md: optional, lg: optional })
  .nullish()
  .transform((value) => value ?? undefined)
const Type = z.object({ id: optional, name: z.string(), description: optional })
const Listing = z.object({
  /** Where somebody has written it beside what the service answers. */
  appDomain: optional,
  domain: optional,
  name: z.string(),
  description: optional,
  homepage: optional,
  dapp_url: optional,
  image_url: Pictures,
  notificationTypes: z
    .array(Type)
    .nullish()
    .transform((value) => value ?? undefined),
})
type Listing = z.output<typeof Listing>

const Answer = z.object({ data: Listing }).transform(({ data }) => data)
const One = z.union([Answer, Listing])
const Source = z.union([
  z.array(One),
  z.object({ projects: z.record(z.string(), Listing) }).transform(({ projects }) => Object.values(projects)),
  One.transform((one) => [one]),
])

export interface ImportedApp {
  domain: string
  name: string
  description?: string
  url?: string
  icons?: { sm?: string | undefined; md?: string | undefined; lg?: string | undefined }
  /** Undefined where the source says nothing of types. */
  types?: { id?: string; name: string; description: string }[]
}

const hostOf = (url: string | undefined): string | undefined =>
  url !== undefined && URL.canParse(url) ? new URL(url).host : undefined

const appOf = (listing: Listing, domain: string): ImportedApp => {
  const { name, description, image_url: icons, notificationTypes } = listing
  const url = [listing.dapp_url, listing.homepage].find((each) => each)
  return {
    ...{ domain, name },
    ...(description !== undefined && { description }),
    ...(url !== undefined && { url }),
    ...(icons && { icons }),
    ...(notificationTypes && {
      types: notificationTypes.map(({ id, name, description = '' }) => ({
        ...(id !== undefined && { id }),
        ...{ name, description },
      })),
    }),
  }
}

/** `domain` is the one app's; without it each app's own page says it. Throws `CommandFailure`. */
export const appsIn = (json: unknown, domain: string | undefined): ImportedApp[] => {
  const { data: listings } = Source.safeParse(json)
  if (!listings) {
    throw new CommandFailure(
      'That is no answer of notify-config or of projects: an app has at least a name, and types have names.',
    )
  }
  if (listings.length === 0) throw new CommandFailure('There is no app in it.')
  if (listings.length > MAX_APPS) throw new CommandFailure(`At most ${MAX_APPS} apps are imported at once.`)
  if (domain !== undefined && listings.length > 1) {
    throw new CommandFailure(`There are ${listings.length} apps in it, so --domain cannot name them.`)
  }
  const apps = listings.map((listing) => {
    const own =
      domain ?? listing.appDomain ?? listing.domain ?? hostOf(listing.dapp_url) ?? hostOf(listing.homepage)
    if (own === undefined) {
      throw new CommandFailure(
        `Nothing says on which domain ${JSON.stringify(listing.name)} is: use --domain.`,
      )
    }
    return appOf(listing, own.toLowerCase())
  })
  const twice = apps.find(({ domain }, at) => apps.findIndex((app) => app.domain === domain) !== at)
  if (twice) throw new CommandFailure(`${twice.domain} is named twice.`)
  return apps
}
