/**
 * The list of wallets that dapps offer to people who want to connect, as published modals ask for it. The operator's file is
 * all that there is; nobody is asked for more, and nothing is kept of who asks.
 *
 * | method, path | for | answer |
 * |---|---|---|
 * | GET /v3/wallets?entries&page&search&ids&chains&platforms | `explorer-api.walletconnect.com` | `{listings, count, total}` |
 * | GET /v3/logo/:size/:imageId | the same | 302 to the image that the file names; 404 |
 * | GET /getWallets?entries&page&search&include&exclude&chains | `api.web3modal.org` | `{data, count}` |
 * | GET /getWalletImage/:imageId | the same | 302; 404 |
 */
import { type Context, Hono } from 'hono'
import { cors } from 'hono/cors'
import * as z from 'zod'
import type { Payer } from '../platform/budgets/payer.ts'
import { httpErrors } from '../platform/net/http.ts'
import type { Log } from '../platform/telemetry.ts'
import { checked } from '../platform/validate.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { GetWalletsQuery, ImageId, type Listing, ListingsQuery, Size } from './schema.ts'

const Logo = z.object({ size: Size, imageId: ImageId })
const Image = z.object({ imageId: ImageId })
const PATHS = ['/v3/wallets', '/v3/logo/*', '/getWallets', '/getWalletImage/*']
/** Written as JSON at about 10 µs each; a unit of work is 0.1 ms. */
const LISTINGS_PER_UNIT = 10
/** Looked at, whether they are answered or not. */
const WALLETS_PER_UNIT = 200
const CHAINS_PER_UNIT = 5_000
/** A list changes with the operator's file only, and then the server was started anew. */
const CACHED = 'public, max-age=300'

const intersects = (wanted: ReadonlySet<string> | undefined, has: readonly string[]): boolean =>
  wanted === undefined || has.some((one) => wanted.has(one))

const platformsOf = ({ app, injected, mobile, desktop }: Listing): string[] => [
  ...Object.entries(app ?? {}).flatMap(([platform, link]) => (link ? [platform] : [])),
  ...(injected?.length ? ['injected'] : []),
  ...(mobile?.native || mobile?.universal ? ['mobile'] : []),
  ...(desktop?.native || desktop?.universal ? ['desktop'] : []),
]

interface Wanted {
  search?: string | undefined
  chains?: ReadonlySet<string> | undefined
}

/** What requests look at. */
const known = (wallet: Listing) => ({
  wallet,
  name: wallet.name.toLowerCase(),
  platforms: platformsOf(wallet),
})

const matches = (
  { wallet, name }: ReturnType<typeof known>,
  { chains }: Wanted,
  /** In lower case. */
  search: string,
): boolean => name.includes(search) && intersects(chains, wallet.chains)

/** Charged before they are looked at: few may match. */
const lookCost = (wallets: readonly Listing[]): ((wanted: Wanted) => number) => {
  const inAll = wallets.length / WALLETS_PER_UNIT
  const chainsInAll = wallets.reduce((sum, { chains }) => sum + chains.length, 0) / CHAINS_PER_UNIT
  return ({ chains }) => Math.floor(inAll + (chains ? chainsInAll : 0))
}

const pageOf = <T>(all: readonly T[], entries: number, page: number): T[] =>
  all.slice((page - 1) * entries, page * entries)

/** A listing in the words of the newer modals. Explorers write an absent link as an empty text. */
const brief = (wallet: Listing, order: number) => ({
  ...{ id: wallet.id, name: wallet.name, homepage: wallet.homepage ?? '', order },
  ...{ chains: wallet.chains, image_id: wallet.image_id ?? '', rdns: wallet.rdns ?? null },
  mobile_link: wallet.mobile?.native || wallet.mobile?.universal || null,
  desktop_link: wallet.desktop?.native || null,
  webapp_link: wallet.desktop?.universal || wallet.app?.browser || null,
  app_store: wallet.app?.ios || null,
  play_store: wallet.app?.android || null,
  injected: wallet.injected ?? null,
})

export const explorerRoutes = (
  { log, payerFor }: { log: Log; payerFor: (c: Context) => Payer },
  { wallets }: { wallets: readonly Listing[] },
): Hono => {
  const briefs = new Map(wallets.map((wallet, at) => [wallet, brief(wallet, at + 1)]))
  const all = wallets.map(known)
  const costOf = lookCost(wallets)
  /** Those that are wanted, once it is paid for that all are looked at. */
  const find = async (
    c: Context,
    wanted: Wanted,
    isWanted: (one: ReturnType<typeof known>) => boolean,
  ): Promise<Listing[]> => {
    const cost = costOf(wanted)
    if (cost > 0) await payerFor(c).work(cost)
    const search = wanted.search?.toLowerCase() ?? ''
    return all.filter((one) => isWanted(one) && matches(one, wanted, search)).map(({ wallet }) => wallet)
  }
  const pay = (c: Context, listings: number) => payerFor(c).work(Math.ceil(listings / LISTINGS_PER_UNIT))
  const images = new Map(wallets.flatMap(({ image_id: id, image_url: at }) => (id && at ? [[id, at]] : [])))
  const imageAt = (id: string, size: z.infer<typeof Size>): string => {
    const image = images.get(id)
    if (!image) throw new ProtocolError('not_found', 'there is no such image')
    return image[size]
  }

  const app = new Hono()
  app.onError(httpErrors(log))
  for (const path of PATHS) app.use(path, cors({ origin: '*', allowMethods: ['GET'], maxAge: 86_400 }))
  app.get('/v3/wallets', async (c) => {
    const { ids, platforms, entries, page, ...wanted } = checked(ListingsQuery, c.req.query())
    const found = await find(
      c,
      wanted,
      (one) => intersects(ids, [one.wallet.id]) && intersects(platforms, one.platforms),
    )
    const shown = entries === undefined ? found : pageOf(found, entries, page)
    await pay(c, shown.length)
    const listings = Object.fromEntries(shown.map((wallet) => [wallet.id, wallet]))
    return c.json({ listings, count: shown.length, total: found.length }, 200, { 'Cache-Control': CACHED })
  })
  app.get('/v3/logo/:size/:imageId', (c) => {
    const { size, imageId } = checked(Logo, c.req.param())
    return c.redirect(imageAt(imageId, size))
  })
  app.get('/getWallets', async (c) => {
    const { include, exclude, entries, page, ...wanted } = checked(GetWalletsQuery, c.req.query())
    const found = await find(
      c,
      wanted,
      ({ wallet }) => intersects(include, [wallet.id]) && !exclude?.has(wallet.id),
    )
    const shown = pageOf(found, entries, page)
    await pay(c, shown.length)
    const data = shown.map((wallet) => briefs.get(wallet))
    return c.json({ data, count: found.length }, 200, { 'Cache-Control': CACHED })
  })
  app.get('/getWalletImage/:imageId', (c) => c.redirect(imageAt(checked(Image, c.req.param()).imageId, 'md')))
  return app
}
