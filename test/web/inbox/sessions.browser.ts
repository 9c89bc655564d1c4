/** Links of wallet sessions: opened, shown in words, approved and refused; what this page may not reach is said. */
import { randomBytes } from 'node:crypto'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod'
import { createReleaseStack } from '../../../src/platform/runtime/release-stack.ts'
import {
  CREDENTIAL_PRESENTATION,
  DATA_APPROVAL,
  isWrAuthPkAnswer,
  WR_AUTH_PK,
} from '../../../src/sdk/credentials.ts'
import { AUTH_PK, dappSession, verifyAuthPk } from '../../../src/sdk/sessions.ts'
import { base64Of, newMicroblock } from '../../sessions/ledger.ts'
import { INSTALL_TIMEOUT } from '../../support/debian.ts'
import { expectAccessible, takeScreenshots, type Watched } from '../browser.ts'
import { enterWithDemoKey, type InboxWorld, startInboxWorld } from './world.ts'

const owned = createReleaseStack()
let inbox: InboxWorld
let device: Watched
let page: Page

beforeAll(async () => {
  inbox = owned.use(
    await startInboxWorld({ rooms: ['relay', 'notify', 'keys', 'push', 'sessions', 'operator'] }),
  )
  device = await inbox.device()
  page = await device.context.newPage()
  await enterWithDemoKey(page)
}, INSTALL_TIMEOUT)
afterAll(() => owned[Symbol.asyncDispose]())

const proof = z.object({ publicKey: z.string(), signature: z.string() })
const approval = z.object({ anchorRequestId: z.string() })

const session = async () => owned.use(await dappSession({ relay: inbox.push.world.url }))
const challenge = (): string => randomBytes(32).toString('base64')
const answer = (name: 'Approve' | 'Refuse'): Promise<void> => page.getByRole('button', { name }).click()
const close = (): Promise<void> => page.getByRole('button', { name: 'Close' }).click()

const paste = async (link: string): Promise<void> => {
  await page.getByRole('navigation').getByRole('link', { name: 'Settings' }).click()
  await page.getByLabel('Link that begins with cmts://').fill(link)
  await page.getByRole('button', { name: 'Open the link' }).click()
}

describe('a link of a wallet session', () => {
  it('opened as an address: says who asks, and the dapp gets what was approved', async () => {
    const { link, request } = await session()
    const question = { origin: 'Garden club', b64Challenge: challenge() }
    const asked = request(AUTH_PK, question)
    await page.goto(`/#session=${encodeURIComponent(link)}`)
    await page.getByText('Garden club asks who you are.').waitFor()
    expect(await page.evaluate(() => location.hash)).toBe('#/')
    await takeScreenshots(page, 'inbox-session')
    await expectAccessible(page)
    await answer('Approve')
    expect(verifyAuthPk(await asked, { ...question, now: Date.now() }).pk).toContain('SIG:ED25519')
    await page.getByText('The app has your answer.').waitFor()
    await close()
  })

  it('pasted and refused: the dapp hears it', async () => {
    const { link, request } = await session()
    const asked = request(AUTH_PK, { origin: 'Garden club', b64Challenge: challenge() })
    const heard = expect(asked).rejects.toMatchObject({ code: -32000 })
    await paste(link)
    await page.getByText('Garden club asks who you are.').waitFor()
    await answer('Refuse')
    await heard
    await page.getByText('You refused.').waitFor()
    await close()
  })

  it('asks in words for the older proof of a key, and says that there is no credential', async () => {
    const old = await session()
    const base64EncodedChallenge = challenge()
    const asked = old.request(WR_AUTH_PK, { base64EncodedChallenge })
    await paste(old.link)
    await page.getByText('does not say who asks').waitFor()
    await answer('Approve')
    const proof = await asked
    expect(isWrAuthPkAnswer(base64EncodedChallenge, proof as Parameters<typeof isWrAuthPkAnswer>[1])).toBe(
      true,
    )
    await close()

    const credential = await session()
    const query = { credentials: [{ id: 'pass', format: 'dc+sd-jwt', meta: { vct_values: ['pass'] } }] }
    const wanted = credential.request(CREDENTIAL_PRESENTATION, { audience: 'Club', nonce: 'n', query })
    const heard = expect(wanted).rejects.toMatchObject({ code: -32001 })
    await paste(credential.link)
    await heard
    await page.getByText('You have nothing of what the app asked for').waitFor()
    await close()
  })

  it('shows the whole record that it signs, and the operator keeps it', async () => {
    const { world } = inbox.push
    const known = await session()
    const key = known.request(WR_AUTH_PK, { base64EncodedChallenge: challenge() })
    await paste(known.link)
    await answer('Approve')
    const { publicKey: signer } = proof.parse(await key)
    await close()

    const b64SerializedMicroblock = base64Of(newMicroblock('Ring the bells at noon?'))
    const { body } = await world.http('POST', `/v1/${world.project.id}/approvals`, {
      ...{ token: world.project.secret, body: { b64SerializedMicroblock, signer } },
    })
    const { anchorRequestId } = approval.parse(body)
    const { link, request } = await session()
    const anchored = request(DATA_APPROVAL, { serverUrl: world.url, anchorRequestId })
    await paste(link)
    await page.getByText('asks you to sign a record').waitFor()
    await page.getByText('Ring the bells at noon?').waitFor()
    await takeScreenshots(page, 'inbox-session-record')
    await expectAccessible(page)
    await answer('Approve')
    expect(await anchored).toMatchObject({ height: 1 })
    await close()
  })

  it('over another server, or no link at all, asks nobody', async () => {
    const elsewhere = 'cmts://connect/carmentis-relay?relay=https%3A%2F%2Fother.example&sessionId=a&symKey='
    await paste(`${elsewhere}${randomBytes(32).toString('hex')}`)
    await page.getByText('over another server').waitFor()
    await close()
    await paste('https://example.com')
    await page.getByText('This is no link of a request').waitFor()
    await close()
    device.expectClean()
  })
})
