/**
 * A dapp asks a wallet, in sessions over the relay, for each thing that a wallet can answer: who it is, claims of a
 * credential, the approval of a microblock that an operator of ours anchors. Each answer is checked by who has to rely on it.
 */
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { z } from 'zod'
import { fromBase64, toBase64 } from '../../src/protocol/bytes.ts'
import {
  CREDENTIAL_PRESENTATION,
  credentialPresentation,
  DATA_APPROVAL,
  isWrAuthPkAnswer,
  microblockHash,
  readMicroblock,
  verifyPresentation,
  WR_AUTH_PK,
  wrAuthPk,
} from '../../src/sdk/credentials.ts'
import {
  type ApprovalRequest,
  type Approve,
  AUTH_PK,
  authPk,
  dappSession,
  parseSessionLink,
  type SessionMethods,
  signingKeyFrom,
  verifyAuthPk,
  walletSession,
} from '../../src/sdk/sessions.ts'
import { held, issue, threeClaims } from '../sessions/issuer.ts'
import { approvalBy, base64Of, newKey, newMicroblock } from '../sessions/ledger.ts'
import { knownSecret } from '../support/capture/record.mjs'
import { startWorld, type World } from '../support/world.ts'

let world: World
beforeAll(async () => {
  world = await startWorld({ rooms: ['relay', 'notify', 'keys', 'sessions', 'operator'] })
})
afterAll(() => world[Symbol.asyncDispose]())
const open: AsyncDisposable[] = []
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one[Symbol.asyncDispose]()
})

/** One call, one session. What the person was asked comes along. */
const call = async (
  methods: SessionMethods,
  method: string,
  params: unknown,
  answer: Approve = async () => true,
) => {
  const dapp = await dappSession({ relay: world.url })
  open.push(dapp)
  const link = parseSessionLink(dapp.link)
  knownSecret('session key', link.key)
  const asked: ApprovalRequest[] = []
  const approve: Approve = (request) => {
    asked.push(request)
    return answer(request)
  }
  open.push(walletSession({ link: dapp.link, approve, methods }))
  return { result: await dapp.request(method, params), asked }
}

it('who it is: by its Ed25519 key, and by the deprecated method where the wallet enables it', async () => {
  const question = { origin: 'My App', b64Challenge: 'dGVzdC1jaGFsbGVuZ2U=', pkFormat: 'did' }
  const key = signingKeyFrom(new Uint8Array(32).fill(3))
  const { result } = await call({ [AUTH_PK]: authPk(key) }, AUTH_PK, question)
  expect(result).toMatchObject({ pk: expect.stringMatching(/^did:jwk:/) })
  const { origin, b64Challenge } = question
  expect(verifyAuthPk(result, { origin, b64Challenge, now: Date.now() }).publicKey).toEqual(key.publicKey)

  const old = newKey()
  const challenge = { base64EncodedChallenge: b64Challenge }
  const answer = await call({ [WR_AUTH_PK]: wrAuthPk({ key: old }) }, WR_AUTH_PK, challenge)
  const told = z.object({ publicKey: z.literal(old.publicKey), signature: z.string() }).parse(answer.result)
  expect(isWrAuthPkAnswer(b64Challenge, told)).toBe(true)
  expect(isWrAuthPkAnswer('b3RoZXI=', told)).toBe(false)
  await expect(call({ [AUTH_PK]: authPk(key) }, WR_AUTH_PK, challenge)).rejects.toMatchObject({
    code: -32601,
  })
})

it('claims of a credential: those that were asked for, after a person has seen which', async () => {
  const { sdJwt, holder, issuer } = await issue(threeClaims)
  const methods = {
    [CREDENTIAL_PRESENTATION]: credentialPresentation({ credentials: async () => [held(sdJwt, holder)] }),
  }
  const request = {
    audience: 'https://verifier.example.com',
    nonce: 'n-0S6_WzA2Mj',
    query: {
      credentials: [
        {
          id: 'identity',
          format: 'dc+sd-jwt',
          claims: [{ path: ['given_name'] }, { path: ['family_name'] }],
        },
      ],
    },
  }
  const { result, asked } = await call(methods, CREDENTIAL_PRESENTATION, request)
  const { vp_token: vpToken } = z.object({ vp_token: z.string() }).parse(result)
  const trusted = { issuerKeys: () => [issuer.publicJwk], now: Date.now() }
  const { claims } = await verifyPresentation({ ...request, ...trusted, vpToken })
  expect(claims).toMatchObject({ given_name: 'John', family_name: 'Doe' })
  expect(Object.keys(claims).sort()).toEqual(['cnf', 'family_name', 'given_name', 'iss', 'vct'])
  expect(asked).toMatchObject([{ method: CREDENTIAL_PRESENTATION, params: { audience: request.audience } }])

  const no: Approve = async () => false
  await expect(call(methods, CREDENTIAL_PRESENTATION, request, no)).rejects.toMatchObject({ code: -32000 })
  const other = {
    ...request,
    query: { credentials: [{ id: 'x', format: 'dc+sd-jwt', meta: { vct_values: ['x'] } }] },
  }
  await expect(call(methods, CREDENTIAL_PRESENTATION, other)).rejects.toMatchObject({ code: -32001 })
})

it('the approval of a microblock, which the operator anchors as the person saw it', async () => {
  const key = newKey()
  const microblock = newMicroblock('go on')
  const { id: projectId, secret } = world.project
  const made = await world.http('POST', `/v1/${projectId}/approvals`, {
    token: secret,
    body: { b64SerializedMicroblock: base64Of(microblock), signer: key.publicKey },
  })
  const { anchorRequestId } = z.object({ anchorRequestId: z.string() }).parse(made.body)
  knownSecret('anchor request id', anchorRequestId)
  const methods = { [DATA_APPROVAL]: approvalBy(key) }
  const params = { serverUrl: world.url, anchorRequestId }

  const no: Approve = async () => false
  await expect(call(methods, DATA_APPROVAL, params, no)).rejects.toMatchObject({ code: -32000 })
  const { result, asked } = await call(methods, DATA_APPROVAL, params)
  expect(asked).toMatchObject([{ method: DATA_APPROVAL, details: { header: { height: 1 } } }])
  const { b64VbHash, b64MbHash, height } = z
    .object({ b64VbHash: z.string(), b64MbHash: z.string(), height: z.number() })
    .parse(result)
  expect(height).toBe(1)
  const path = `/v1/${projectId}/chains?vbHash=${encodeURIComponent(b64VbHash)}`
  const { body } = await world.http('GET', path, { token: secret })
  const [anchored] = z
    .object({ microblocks: z.array(z.object({ b64SerializedMicroblock: z.string() })) })
    .parse(body).microblocks
  const kept = readMicroblock(fromBase64(anchored?.b64SerializedMicroblock ?? ''))
  expect(toBase64(microblockHash(kept))).toBe(b64MbHash)
  // It was approved once.
  await expect(call(methods, DATA_APPROVAL, params)).rejects.toMatchObject({ code: -32603 })
})
