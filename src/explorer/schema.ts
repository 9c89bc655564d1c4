/** The operator's list of wallets: what the hosted explorer answered, kept as a file, or one written by hand. */
import * as z from 'zod'

const MAX_WALLETS = 2_000

const url = z.string().max(2_048)
const maybe = <S extends z.ZodType>(shape: S) => shape.nullish()
export const ImageId = z.string().regex(/^[\w-]{1,128}$/)
export const Size = z.enum(['sm', 'md', 'lg'])
const Links = z.object({ native: maybe(url), universal: maybe(url) })

/** A listing, in the words of the published explorer; what else it has is passed on as it is. */
export const Listing = z.looseObject({
  id: z.string().min(1).max(128),
  name: z.string().min(1).max(128),
  homepage: maybe(url),
  chains: z.array(z.string().max(64)).max(500).default([]),
  image_id: maybe(ImageId),
  image_url: maybe(z.object({ sm: url, md: url, lg: url })),
  app: maybe(z.record(z.string().max(32), maybe(url))),
  mobile: maybe(Links),
  desktop: maybe(Links),
  rdns: maybe(z.string().max(256)),
  injected: maybe(
    z.array(z.looseObject({ namespace: z.string().max(64), injected_id: z.string().max(256) })).max(32),
  ),
})
export type Listing = z.infer<typeof Listing>

/** `{listings: {<id>: listing}}`, as the hosted explorer answered, or a list of listings. */
export const WalletsFile = z
  .union([
    z.array(Listing),
    z
      .looseObject({ listings: z.record(z.string(), Listing) })
      .transform(({ listings }) => Object.values(listings)),
  ])
  .refine((all) => all.length <= MAX_WALLETS, `at most ${MAX_WALLETS} wallets`)
  .refine((all) => new Set(all.map(({ id }) => id)).size === all.length, 'an id is there twice')

const ids = z
  .string()
  .max(8_192)
  .transform((text) => new Set(text.split(',')))
const count = (most: number) => z.coerce.number().int().min(1).max(most)

/** `entries` and `page` go together; without them everything is answered. */
export const ListingsQuery = z.object({
  search: z.string().max(128).optional(),
  ids: ids.optional(),
  chains: ids.optional(),
  platforms: ids.optional(),
  entries: count(MAX_WALLETS).optional(),
  page: count(MAX_WALLETS).default(1),
})

export const GetWalletsQuery = z.object({
  search: z.string().max(128).optional(),
  include: ids.optional(),
  exclude: ids.optional(),
  chains: ids.optional(),
  entries: count(MAX_WALLETS).default(100),
  page: count(MAX_WALLETS).default(1),
})
