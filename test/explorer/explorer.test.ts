/** The list of wallets, asked for as published modals do. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type BudgetSizes, NO_BUDGETS } from '../../src/platform/budgets/budgets.ts'
import { startWorld, type World } from '../support/world.ts'

const image = (id: string) => ({
  sm: `https://images.example/sm/${id}`,
  md: `https://images.example/md/${id}`,
  lg: `https://images.example/lg/${id}`,
})
const WALLETS = {
  a1: {
    ...{ id: 'a1', name: 'Rook Wallet', homepage: 'https://rook.example', chains: ['eip155:1', 'eip155:10'] },
    ...{ image_id: 'img-rook', image_url: image('img-rook'), slug: 'rook' },
    app: { ios: 'https://apps.example/rook', android: '' },
    mobile: { native: 'rook://', universal: 'https://rook.example/open' },
    desktop: { native: '', universal: null },
  },
  b2: {
    ...{ id: 'b2', name: 'Jackdaw', homepage: 'https://jackdaw.example', chains: ['solana:x'] },
    injected: [{ namespace: 'eip155', injected_id: 'isJackdaw' }],
    rdns: 'example.jackdaw',
  },
  c3: { id: 'c3', name: 'Rookie', chains: ['eip155:1'], app: null, mobile: null },
}

let dir: string
let world: World
const started: World[] = []
const startWith = async (content: string, budgets: BudgetSizes = NO_BUDGETS): Promise<World> => {
  const file = join(dir, `wallets-${started.length}.json`)
  await writeFile(file, content)
  const one = await startWorld({ config: { wallets: file, budgets } })
  started.push(one)
  return one
}
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'belfry-explorer-'))
  world = await startWith(JSON.stringify({ listings: WALLETS, count: 3, total: 3 }))
})
afterAll(async () => {
  for (const one of started) await one[Symbol.asyncDispose]()
  await rm(dir, { recursive: true, force: true })
})
const get = (path: string) => world.http('GET', path)

it('charges for what is looked at, also where nothing is found', async () => {
  const chains = Array.from({ length: 200 }, (_, at) => `eip155:${at}`)
  const many = Array.from({ length: 1_000 }, (_, at) => ({ id: `w${at}`, name: 'Rook', chains }))
  const { http } = await startWith(JSON.stringify(many), {
    ...NO_BUDGETS,
    work: { burst: 200, seconds: 3_600 },
  })
  const statuses = []
  for (let at = 0; at < 5; at++) statuses.push((await http('GET', '/v3/wallets?chains=eip155:none')).status)
  // 5 units for a request, 45 for a thousand wallets and their 200,000 chains.
  expect(statuses).toEqual([200, 200, 200, 200, 429])
})

describe('an older modal', () => {
  it('gets all wallets, as the file has them', async () => {
    const { status, body, headers } = await get('/v3/wallets?projectId=p')
    expect(status).toBe(200)
    expect(headers.get('access-control-allow-origin')).toBe('*')
    expect(body).toEqual({ listings: { ...WALLETS, b2: WALLETS.b2, c3: WALLETS.c3 }, count: 3, total: 3 })
  })

  it.each([
    ['search=rook', ['a1', 'c3'], 2],
    ['search=rook&entries=1&page=2', ['c3'], 2],
    ['entries=2', ['a1', 'b2'], 3],
    ['entries=2&page=9', [], 3],
    ['ids=b2,c3', ['b2', 'c3'], 2],
    ['chains=eip155:10,solana:x', ['a1', 'b2'], 2],
    ['platforms=injected', ['b2'], 1],
    ['platforms=ios', ['a1'], 1],
    ['platforms=android', [], 0],
  ])('asks for %s', async (query, ids, total) => {
    const { body } = await get(`/v3/wallets?${query}`)
    const listings = Object.fromEntries(ids.map((id) => [id, expect.objectContaining({ id })]))
    expect(body).toEqual({ listings, count: ids.length, total })
  })

  it.each(['entries=0', 'entries=x', 'page=-1', `search=${'a'.repeat(200)}`])(
    'is told what is wrong with %s',
    async (query) => expect((await get(`/v3/wallets?${query}`)).status).toBe(422),
  )

  it('is led to the image of the size that it asks for', async () => {
    const answer = await fetch(`${world.url}/v3/logo/lg/img-rook?projectId=p`, { redirect: 'manual' })
    expect([answer.status, answer.headers.get('location')]).toEqual([
      302,
      'https://images.example/lg/img-rook',
    ])
    expect((await get('/v3/logo/lg/none')).status).toBe(404)
    expect((await get('/v3/logo/huge/img-rook')).status).toBe(422)
  })
})

describe('a newer modal', () => {
  it('gets what it needs to open a wallet', async () => {
    const { body } = await get('/getWallets?page=1&entries=1&chains=eip155:1')
    const rook = {
      ...{ id: 'a1', name: 'Rook Wallet', homepage: 'https://rook.example', order: 1, rdns: null },
      ...{ chains: ['eip155:1', 'eip155:10'], image_id: 'img-rook', injected: null },
      ...{ mobile_link: 'rook://', desktop_link: null, webapp_link: null },
      ...{ app_store: 'https://apps.example/rook', play_store: null },
    }
    expect(body).toEqual({ data: [rook], count: 2 })
  })

  it.each([
    ['include=a1,b2', ['a1', 'b2']],
    ['exclude=a1', ['b2', 'c3']],
    ['search=JACK', ['b2']],
  ])('asks for %s', async (query, ids) => {
    const { body } = await get(`/getWallets?${query}`)
    expect(body).toEqual({ data: ids.map((id) => expect.objectContaining({ id })), count: ids.length })
  })

  it('is led to images', async () => {
    const answer = await fetch(`${world.url}/getWalletImage/img-rook`, { redirect: 'manual' })
    expect(answer.headers.get('location')).toBe('https://images.example/md/img-rook')
  })
})

describe('the file', () => {
  it('may be a list', async () => {
    const other = await startWith(JSON.stringify([WALLETS.c3]))
    expect((await other.http('GET', '/v3/wallets')).body).toMatchObject({ count: 1 })
  })

  it('is not asked for where none is named', async () => {
    await using without = await startWorld()
    expect((await without.http('GET', '/v3/wallets')).status).toBe(404)
  })

  it.each([
    ['is no JSON', '{'],
    ['is no list of wallets', '{"wallets":[]}'],
    ['is no list of wallets', '[{"id":"a"}]'],
    ['an id is there twice', JSON.stringify([WALLETS.c3, WALLETS.c3])],
    [
      'at most 2000 wallets',
      JSON.stringify(Array.from({ length: 2001 }, (_, at) => ({ id: `${at}`, name: 'x' }))),
    ],
  ])('stops the start where it %s', async (sentence, content) => {
    await expect(startWith(content)).rejects.toThrow(sentence)
  })

  it('stops the start where there is none', async () => {
    const config = { wallets: join(dir, 'none.json') }
    await expect(startWorld({ config })).rejects.toThrow('none.json cannot be read')
  })
})
