/** An operator's day in the console, in a real browser, with a wallet and a webhook's receiver at the other ends. */
import type { Browser, BrowserContext, CDPSession, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { z } from 'zod'
import { createReleaseStack } from '../../src/platform/runtime/release-stack.ts'
import { fromHex } from '../../src/protocol/bytes.ts'
import { signingKeyFrom } from '../../src/protocol/keys.ts'
import { INSTALL_TIMEOUT } from '../support/debian.ts'
import { eventually } from '../support/eventually.ts'
import { freePort } from '../support/process.ts'
import { startReceiver } from '../support/webhook-receiver.ts'
import { startClientWorld } from '../support/world/wallets.ts'
import {
  expectAccessible,
  openContext,
  SIZES,
  startBrowser,
  takeScreenshots,
  type Watched,
} from './browser.ts'

const Hooks = z.record(z.string(), z.object({ state: z.string().optional() }))
const DOMAIN = 'shop.example'
/** The overview is the last, so that its charts have points. */
const VIEWS = [
  ...['apps', 'projects', 'send', 'notifications', 'relay', 'webhooks', 'push', 'budgets', 'health'],
  ...['audit', 'account', 'overview'],
]

const owned = createReleaseStack()
let world: Awaited<ReturnType<typeof startClientWorld>>
let device: ReturnType<typeof world.device>
let browser: Browser
let watched: Watched
let page: Page
let origin: string
let isReceiverGone = true
let receiver: Awaited<ReturnType<typeof startReceiver>>

/** A platform authenticator that says yes, as a laptop with a fingerprint would. */
const addAuthenticator = async (context: BrowserContext, of: Page): Promise<CDPSession> => {
  const session = await context.newCDPSession(of)
  await session.send('WebAuthn.enable')
  await session.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      ...{ protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true },
      ...{ isUserVerified: true, automaticPresenceSimulation: true },
    },
  })
  return session
}

/** As the dapp's backend, over the published API. */
const asDapp = async (method: string, path: string, body?: unknown): Promise<unknown> => {
  const { url, project } = world
  const response = await fetch(`${url}/${project.id}/${path}`, {
    method,
    headers: { authorization: `Bearer ${project.secret}`, 'content-type': 'application/json' },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  expect(response.status).toBeLessThan(300)
  const text = await response.text()
  return text === '' ? undefined : JSON.parse(text)
}

const open = async (view: string, title = view): Promise<void> => {
  await page.goto(`/console#/${view}`)
  await page.getByRole('heading', { level: 1, name: new RegExp(title, 'i') }).waitFor()
}

/** Nothing has to be scrolled sideways, once charts have taken the size that the window has now. */
const expectNothingWider = (): Promise<void> =>
  eventually(async () => {
    const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
    expect(wider).toBeLessThanOrEqual(0)
  })

/** In the dialog that asks. */
const confirm = async (label: string, typed?: string): Promise<void> => {
  const dialog = page.getByRole('dialog')
  if (typed !== undefined) await dialog.getByRole('textbox').fill(typed)
  await dialog.getByRole('button', { name: label, exact: true }).click()
  await dialog.waitFor({ state: 'detached' })
}

beforeAll(async () => {
  const port = await freePort()
  origin = `http://localhost:${port}`
  world = owned.use(
    await startClientWorld({
      ...{ port, publicUrl: origin, aliases: [`http://127.0.0.1:${port}`] },
      allowPrivateAddresses: { keys: [], webhooks: ['127.0.0.1'], did: [], push: [] },
    }),
  )
  receiver = owned.use(await startReceiver(() => (isReceiverGone ? 410 : 204)))
  browser = owned.use(await startBrowser())
  watched = await openContext(browser, origin)
  page = await watched.context.newPage()
}, INSTALL_TIMEOUT)
afterAll(() => owned[Symbol.asyncDispose]())

it('asks who one is', async () => {
  await page.goto('/console')
  await page.getByLabel('Admin token').fill(world.adminToken)
  await expectAccessible(page)
  await takeScreenshots(page, 'console-sign-in')
})

it('lets the operator in with the token, then with a passkey', async () => {
  await addAuthenticator(watched.context, page)
  await page.getByRole('button', { name: 'Sign in with the token' }).click()
  await page.getByRole('heading', { level: 1, name: 'Overview' }).waitFor()
  await open('account')
  await page.getByLabel('Name of the passkey').fill('Laptop')
  await page.getByRole('button', { name: 'Add a passkey' }).click()
  await page.getByRole('cell', { name: 'Laptop' }).waitFor()
  await page.getByRole('button', { name: 'Sign out' }).click()
  await page.getByRole('button', { name: 'Sign in with a passkey' }).click()
  await page.getByText('passkey Laptop').waitFor()
})

it('creates an app that a wallet subscribes to', async () => {
  await open('apps')
  await page.getByLabel('Domain').fill(DOMAIN)
  await page.getByLabel('Name').fill('Shop <b>of</b> shops')
  await page.getByLabel('Types of notifications').fill('orders = Orders\nOffers')
  await page.getByRole('button', { name: 'Create app' }).click()
  await page.getByRole('heading', { level: 2, name: DOMAIN }).waitFor()
  device = world.device(await world.newOwner())
  await device.wallet.subscribe(DOMAIN)
  await page.reload()
  await page.getByText('Subscribers: 1').waitFor()
  await expectAccessible(page)
  await takeScreenshots(page, 'console-app')
})

it('sends to all, and the funnel moves until the wallet has read it', async () => {
  await asDapp('POST', 'register-webhook', { url: receiver.url, events: ['delivered', 'read'] })
  await eventually(() => expect(receiver.challenges).toHaveLength(1))
  await open(`send/${DOMAIN}`, 'send')
  await page.getByLabel('Title').fill('Your order left')
  await page.getByLabel('Text').fill('It arrives <i>tomorrow</i> before noon.')
  await page.getByRole('button', { name: 'Send', exact: true }).click()
  await eventually(() => expect(device.titles()).toContain('Your order left'))
  await page.getByRole('link', { name: 'Follow it' }).click()
  const step = (name: string) => page.locator(`[data-step=${name}][data-count="1"]`)
  await step('delivered').waitFor()
  await expectAccessible(page)
  await takeScreenshots(page, 'console-funnel')
  await device.wallet.markRead(DOMAIN, 'all')
  await step('read').waitFor()
})

it('schedules for an account, and cancels', async () => {
  await open(`send/${DOMAIN}`, 'send')
  await page.getByLabel('Title').fill('Sale')
  await page.getByLabel('Text').fill('It begins.')
  await page.getByRole('combobox', { name: 'To', exact: true }).selectOption('some')
  await page.getByLabel('Accounts').fill(device.wallet.account)
  const inAnHour = new Date(Date.now() + 3_600_000).toISOString().slice(0, 16)
  await page.getByLabel('When').fill(inAnHour)
  await page.getByRole('button', { name: 'Send', exact: true }).click()
  await page.getByText('Scheduled 1').waitFor()
  await page.getByRole('link', { name: 'Follow it' }).click()
  await page.getByRole('button', { name: 'Cancel notification' }).click()
  await confirm('Cancel notification')
  await page.getByText('cancelled', { exact: true }).first().waitFor()
})

/** A wallet whose device is registered for push, and asleep. */
const startSleeper = async (): Promise<void> => {
  const { wallet } = world.device(await world.newOwner())
  await wallet.subscribe(DOMAIN)
  const client = signingKeyFrom(fromHex(wallet.export().clientSeed)).did
  await wallet[Symbol.asyncDispose]()
  const registered = await fetch(`${world.url}/clients`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ client_id: client, type: 'noop', token: 'x', always_raw: true }),
  })
  expect(registered.status).toBeLessThan(300)
}

/** In the part of the form that is folded. */
const writeExtras = async (): Promise<void> => {
  await page.locator('.more summary').click()
  await page.getByLabel('Priority').selectOption('urgent')
  await page.getByLabel('Picture (https URL)').fill('https://pictures.example/parcel.png')
  await page.getByLabel('Tags').fill('orders, parcel')
  await page.getByRole('button', { name: 'Add a button' }).click()
  await page.getByRole('button', { name: 'Add a button' }).click()
  const first = page.getByRole('group', { name: 'Button 1' })
  await first.getByLabel('Title').fill('Yes, please')
  await first.getByLabel('What it does').selectOption('answer')
  const second = page.getByRole('group', { name: 'Button 2' })
  await second.getByLabel('Title').fill('Track it')
  await second.getByLabel('Its link (URL)').fill('https://shop.example/track')
  await page.getByRole('button', { name: 'Add a language' }).click()
  const german = page.getByRole('group', { name: 'Language 1' })
  await german.getByLabel('Language', { exact: true }).fill('de')
  await german.getByLabel('Title').fill('Zu Hause?')
  await german.getByLabel('Text').fill('Das Paket kommt heute.')
}

const EXTRAS = {
  ...{ priority: 'urgent', image: 'https://pictures.example/parcel.png', tags: ['orders', 'parcel'] },
  actions: [
    { id: 'yes-please', title: 'Yes, please', answer: true },
    { id: 'track-it', title: 'Track it', url: 'https://shop.example/track' },
  ],
  locales: { de: { title: 'Zu Hause?', body: 'Das Paket kommt heute.' } },
}

it('sends what more a notification may have, and shows who was pushed to and who answered', async () => {
  await startSleeper()
  await open(`send/${DOMAIN}`, 'send')
  await page.getByLabel('Title').fill('Are you at home?')
  await page.getByLabel('Text').fill('The parcel comes today.')
  await writeExtras()
  const preview = page.locator('.preview')
  for (const shown of ['Urgent', 'parcel', 'Yes, please', 'Track it', 'Also in de'])
    await preview.getByText(shown, { exact: true }).waitFor()
  await preview.getByText('Picture from pictures.example').waitFor()
  await expectAccessible(page)
  await takeScreenshots(page, 'console-send-more')
  await page.getByRole('button', { name: 'Send', exact: true }).click()
  await eventually(() => expect(device.titles()).toContain('Are you at home?'))
  const received = device.received.find(({ title }) => title === 'Are you at home?')
  expect(received).toMatchObject(EXTRAS)
  expect(received).not.toHaveProperty('silent')

  await page.getByRole('link', { name: 'Follow it' }).click()
  const answers = (count: number) => page.locator(`[data-answer=yes-please][data-count="${count}"]`)
  await answers(0).waitFor()
  await page.locator('[data-step=pushed][data-count="1"]').waitFor()
  await device.wallet.answer(DOMAIN, received?.id ?? '', 'yes-please')
  await answers(1).waitFor()
  const row = (text: string) =>
    page.getByRole('table', { name: 'By account' }).getByRole('row', { name: text })
  await row('yes-please, ').waitFor()
  await row('pushed noop').waitFor()
  await expectAccessible(page)
  await takeScreenshots(page, 'console-answers')
})

it('says what is wrong, where it is wrong', async () => {
  // A browser notes each refusal as an error, so this is done in a profile of its own.
  const { context } = await openContext(browser, origin)
  const other = await context.newPage()
  await other.goto('/console')
  await other.getByLabel('Admin token').fill('another')
  await other.getByRole('button', { name: 'Sign in with the token' }).click()
  await other.getByText('this is not the admin token').waitFor()
  await other.getByLabel('Admin token').fill(world.adminToken)
  await other.getByRole('button', { name: 'Sign in with the token' }).click()
  await other.getByRole('heading', { level: 1, name: 'Overview' }).waitFor()
  await other.goto(`/console#/send/${DOMAIN}`)
  await other.getByLabel('Title').fill('Sale')
  await other.getByLabel('Text').fill('It begins.')
  await other.getByLabel('Link (URL)').fill('javascript:alert(1)')
  await other.getByRole('button', { name: 'Send', exact: true }).click()
  await other.getByText(/must be an http\(s\) URL/).waitFor()
  await eventually(async () =>
    expect(await other.getByLabel('Link (URL)').getAttribute('aria-invalid')).toBe('true'),
  )
  await expectAccessible(other)
  await takeScreenshots(other, 'console-wrong')

  // In the folded part, which opens for it; the link of the notification is not meant.
  await other.getByLabel('Link (URL)').fill('')
  const more = other.locator('.more summary')
  await more.click()
  await other.getByRole('button', { name: 'Add a button' }).click()
  await other.getByRole('group', { name: 'Button 1' }).getByLabel('Title').fill('Look')
  await other.getByRole('group', { name: 'Button 1' }).getByLabel('Its link (URL)').fill('shop')
  await more.click()
  await other.getByRole('button', { name: 'Send', exact: true }).click()
  await other.getByText(/must be an http\(s\) URL/).waitFor()
  await eventually(async () =>
    expect(await other.getByLabel('Its link (URL)').getAttribute('aria-invalid')).toBe('true'),
  )
  await eventually(async () =>
    expect(await other.getByLabel('Link (URL)', { exact: true }).getAttribute('aria-invalid')).toBe('false'),
  )
  await other.getByLabel('Its link (URL)').fill('/track')
  for (const _ of [1, 2]) await other.getByRole('button', { name: 'Add a language' }).click()
  for (const nth of [1, 2]) {
    const language = other.getByRole('group', { name: `Language ${nth}` })
    await language.getByLabel('Language', { exact: true }).fill('de')
    await language.getByLabel('Title').fill('Schau')
    await language.getByLabel('Text').fill('Hier.')
  }
  await other.getByRole('button', { name: 'Send', exact: true }).click()
  await other.getByText('is there twice').first().waitFor()
  const language = other.getByRole('group', { name: 'Language 2' })
  await language.getByLabel('Language', { exact: true }).fill('no language')
  await other.getByRole('button', { name: 'Send', exact: true }).click()
  await language.getByText(/must be named by a language tag/).waitFor()
  await expectAccessible(other)
  await takeScreenshots(other, 'console-wrong-more')
  await context.close()
})

it('rotates a secret: the new one is shown once', async () => {
  await open(`projects/${world.project.id}`, 'projects')
  const rotate = page.getByRole('button', { name: 'Rotate' }).first()
  await rotate.waitFor()
  await expectAccessible(page)
  await takeScreenshots(page, 'console-project')
  await rotate.click()
  await page.getByRole('dialog').getByRole('button', { name: 'Rotate' }).click()
  const secret = await page.locator('.secret code').textContent()
  expect(secret?.length).toBeGreaterThan(30)
  await expectAccessible(page)
  await takeScreenshots(page, 'console-secret')
  await page.getByRole('button', { name: 'I have kept it' }).click()
  await page.reload()
  await page.getByRole('table', { name: 'Secrets' }).waitFor()
  expect(await page.content()).not.toContain(secret)
})

it('replays a dead letter', async () => {
  // The receiver answered 410, which disables a webhook until its owner changes it.
  const id = await eventually(async () => {
    const [[name, { state }] = ['', {}]] = Object.entries(Hooks.parse(await asDapp('GET', 'webhooks')))
    expect(state).toBe('disabled')
    return name
  })
  isReceiverGone = false
  await asDapp('PUT', `webhooks/${id}`, { url: receiver.url })
  await open(`webhooks/${world.project.id}`, 'webhooks')
  await page.getByRole('button', { name: 'Show dead letters' }).click()
  const replay = page.getByRole('button', { name: 'Replay all' })
  await replay.waitFor()
  await expectAccessible(page)
  await takeScreenshots(page, 'console-dead-letters')
  await replay.click()
  await eventually(() => expect(receiver.taken().length).toBeGreaterThan(0))
  await page.getByText('There is no dead letter.').waitFor()
})

it('blocks a client, which is put out', async () => {
  await open('relay')
  const block = page.getByRole('table').getByRole('button', { name: 'Block', exact: true })
  await block.click()
  await confirm('Block')
  // Its connection has gone: who is left is the house.
  await block.waitFor({ state: 'detached' })
  await page.getByText('the house').waitFor()
  await open('budgets', 'budgets')
  await page.getByRole('table', { name: 'Blocks' }).getByText('Client').first().waitFor()
  await page.getByRole('button', { name: 'Unblock' }).click()
  await confirm('Unblock')
  await page.getByText('Nobody is blocked.').waitFor()
})

it.for(VIEWS)('%s: axe finds nothing serious; screenshots', async (view) => {
  await open(view, view === 'budgets' ? 'budgets' : view)
  await eventually(async () => expect(await page.getByText('Loading…').count()).toBe(0))
  await expectAccessible(page)
  await takeScreenshots(page, `console-${view}`)
  await page.setViewportSize(SIZES.phone)
  await expectNothingWider()
  await page.setViewportSize(SIZES.desktop)
})

it('has a menu on a phone', async () => {
  await page.setViewportSize(SIZES.phone)
  await open('health')
  await expectNothingWider()
  await page.getByRole('button', { name: 'Menu' }).click()
  await page.screenshot({ path: '.build/screenshots/console-menu-phone.png' })
  await page.getByRole('link', { name: 'Audit' }).click()
  await page.getByRole('heading', { level: 1, name: 'Audit' }).waitFor()
  await eventually(async () =>
    expect(await page.getByRole('button', { name: 'Menu' }).getAttribute('aria-expanded')).toBe('false'),
  )
  await expectNothingWider()
  await page.setViewportSize(SIZES.desktop)
})

it('has written down what was done, and asked and complained of nothing', async () => {
  await open('audit')
  for (const action of [
    'POST /admin/apps',
    'POST /admin/broadcasts',
    'POST /admin/notify',
    'POST /admin/blocks',
  ])
    await page.getByText(action, { exact: true }).first().waitFor()
  for (const words of [
    'sent a notification to all',
    'rotated a secret',
    'blocked a client',
    'signed in with the token',
  ])
    await page.getByText(words).first().waitFor()
  watched.expectClean()
})
