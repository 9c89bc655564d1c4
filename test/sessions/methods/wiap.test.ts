import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createPublicFetch } from '../../../src/platform/net/public-fetch.ts'
import { fromBase64, toBase64, toHex } from '../../../src/protocol/bytes.ts'
import { isSignedByCarmentisKey } from '../../../src/sessions/carmentis/keys.ts'
import {
  microblockHash,
  readMicroblock,
  sealMicroblock,
  signedBytes,
} from '../../../src/sessions/carmentis/microblock.ts'
import { WiapRequest } from '../../../src/sessions/methods/wiap.ts'
import { browserPost } from '../../../src/sessions/wallet/browser-post.ts'
import { SessionError } from '../../../src/sessions/wallet/method.ts'
import { approvalBy, base64Of, type loopbackPost, newKey, newMicroblock } from '../ledger.ts'
import { contextWith } from '../wallet-context.ts'

type Answer = (request: WiapRequest, response: ServerResponse) => unknown

const key = newKey()
const microblock = newMicroblock()
const DATA = {
  type: 'WALLET_OPERATOR_RESPONSE_APPROVAL_DATA',
  b64SerializedMicroblock: base64Of(microblock),
}
const OUTCOME = 'WALLET_OPERATOR_RESPONSE_APPROVAL_SIGNATURE'

let requests: WiapRequest[]
let answer: Answer
let url: string
let close: () => Promise<void>

/** What an honest operator answers. */
const honest: Answer = (request) => {
  if (request.type !== 'WALLET_OPERATOR_REQUEST_APPROVAL_SIGNATURE') return DATA
  const hash = toBase64(microblockHash(sealMicroblock(microblock, fromBase64(request.b64Signature))))
  return { type: OUTCOME, b64VbHash: hash, b64MbHash: hash, height: 1 }
}

beforeEach(async () => {
  requests = []
  answer = honest
  const serve = async (request: IncomingMessage, response: ServerResponse) => {
    let text = ''
    for await (const chunk of request.setEncoding('utf8')) text += chunk
    const { data } = JSON.parse(text)
    requests.push(WiapRequest.parse(data))
    const said = answer(WiapRequest.parse(data), response)
    if (!response.headersSent && said !== undefined) {
      response.setHeader('content-type', 'application/json')
      response.end(typeof said === 'string' ? said : JSON.stringify(said))
    }
  }
  const server = createServer((request, response) => void serve(request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  url = `http://127.0.0.1:${address && typeof address === 'object' ? address.port : 0}`
  close = async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
})
afterEach(() => close())

const approve = async (
  params: object = {},
  { person, post }: { person?: Parameters<typeof contextWith>[0]; post?: typeof loopbackPost } = {},
) => {
  const method = approvalBy(key, post)
  const { context, asked } = contextWith(person)
  const parsed = method.schema.parse({ serverUrl: url, anchorRequestId: 'req-abc-123', ...params })
  return { result: await method.handler(parsed, context), asked }
}
const failure = async (...given: Parameters<typeof approve>) => {
  const error = await approve(...given).then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (!(error instanceof SessionError)) throw error
  return { code: error.code, message: error.message }
}
const typesOf = () => requests.map(({ type }) => type.replace('WALLET_OPERATOR_REQUEST_', ''))

describe('the approval of data', () => {
  it('shows the person all of the microblock, before it signs', async () => {
    const person = () => {
      expect(typesOf()).toEqual(['APPROVAL_HANDSHAKE'])
      return true
    }
    const { result, asked } = await approve({}, { person })
    expect(asked).toEqual([
      {
        details: {
          operator: url,
          header: microblock.header,
          sections: [
            { ...microblock.sections[0], name: 'APP_LEDGER_PUBLIC_CHANNEL_DATA' },
            { ...microblock.sections[1], name: 'APP_LEDGER_ENDORSEMENT_REQUEST' },
          ],
          hash: toHex(microblockHash(microblock)),
        },
      },
    ])
    expect(typesOf()).toEqual(['APPROVAL_HANDSHAKE', 'APPROVAL_SIGNATURE'])
    const sent = requests[1]
    if (sent?.type !== 'WALLET_OPERATOR_REQUEST_APPROVAL_SIGNATURE') throw new Error('no signature')
    const signature = fromBase64(sent.b64Signature)
    expect(isSignedByCarmentisKey(key.publicKey, signedBytes(microblock), signature)).toBe(true)
    const hash = toBase64(microblockHash(sealMicroblock(microblock, signature)))
    expect(result).toEqual({ b64VbHash: hash, b64MbHash: hash, height: 1 })
  })

  it('signs nothing when the person does not agree', async () => {
    expect(await failure({}, { person: () => false })).toMatchObject({ code: -32000 })
    expect(typesOf()).toEqual(['APPROVAL_HANDSHAKE'])
  })

  it('signs what was shown, even if whoever shows it changes it', async () => {
    await approve(
      {},
      {
        person: ({ details }) => {
          const shown = Object(details)
          shown.header.timestamp = 0
          shown.sections.length = 0
          shown.header.previousHash.fill(0)
          return true
        },
      },
    )
    expect(typesOf()).toHaveLength(2)
  })

  it('gives the keys of an actor when it is asked for them', async () => {
    const seed = toBase64(new Uint8Array(32).fill(7))
    let signer = ''
    answer = (request, response) => {
      if (request.type === 'WALLET_OPERATOR_REQUEST_APPROVAL_HANDSHAKE') {
        return { type: 'WALLET_OPERATOR_RESPONSE_ACTOR_KEY_REQUIRED', b64GenesisSeed: seed }
      }
      if (request.type === 'WALLET_OPERATOR_REQUEST_ACTOR_KEY') signer = request.actorSignaturePublicKey
      return honest(request, response)
    }
    await approve()
    expect(typesOf()).toEqual(['APPROVAL_HANDSHAKE', 'ACTOR_KEY', 'APPROVAL_SIGNATURE'])
    expect(requests[1]).toMatchObject({
      anchorRequestId: 'req-abc-123',
      actorPkePublicKey: expect.stringMatching(/^PKE:MLKEM768AES256GCM:PK\{.{1580}\}$/),
    })
    const sent = requests[2]
    if (sent?.type !== 'WALLET_OPERATOR_REQUEST_APPROVAL_SIGNATURE') throw new Error('no signature')
    const by = (who: string) =>
      isSignedByCarmentisKey(who, signedBytes(microblock), fromBase64(sent.b64Signature))
    expect([by(signer), by(key.publicKey)]).toEqual([true, false])
  })

  it('takes a server with a path, with or without a slash at its end', async () => {
    for (const serverUrl of [`${url}/`, `${url}/some/place/`]) {
      const { result } = await approve({ serverUrl })
      expect(result.height).toBe(1)
    }
  })

  it.each([
    'operator.example.com',
    'ftp://operator.example.com',
    'https://user:pass@operator.example.com',
    'https://operator.example.com?to=elsewhere',
    'https://operator.example.com#there',
  ])('refuses %s as a server', (serverUrl) => {
    const { schema } = approvalBy(key)
    expect(schema.safeParse({ serverUrl, anchorRequestId: 'a' }).success).toBe(false)
  })
})

describe('an operator', () => {
  it.each([
    'http://127.0.0.1',
    'http://localhost',
    'https://10.0.0.1',
    'https://[::1]',
    'http://example.com',
  ])('at %s is not talked to', async (serverUrl) => {
    const port = new URL(url).port
    const local = /127|localhost/.test(serverUrl) ? `${serverUrl}:${port}` : serverUrl
    const refusal = await failure({ serverUrl: local }, { post: createPublicFetch() })
    expect(refusal).toEqual({ code: -32602, message: 'This wallet does not talk to that operator' })
    expect(requests).toEqual([])
  })

  const senseless = { code: -32603, message: 'The operator gave no answer that makes sense' }
  it.each<[string, Answer]>([
    [
      'redirects',
      (_, response) => void response.writeHead(307, { location: 'http://127.0.0.1:1/else' }).end(),
    ],
    ['answers without end', () => `"${'x'.repeat(3_000_000)}"`],
    ['breaks off', (_, response) => void response.destroy()],
    ['answers no JSON', () => 'Hello!'],
    ['answers something else', () => ({ type: 'HELLO' })],
    ['fails', (_, response) => void response.writeHead(500).end('{}')],
    ['gives no base64', () => ({ ...DATA, b64SerializedMicroblock: '%%%' })],
  ])('that %s gets no signature', async (_, hostile) => {
    answer = hostile
    expect(await failure()).toEqual(senseless)
    expect(typesOf()).toEqual(['APPROVAL_HANDSHAKE'])
  })

  const serialized = fromBase64(DATA.b64SerializedMicroblock)
  const { header, sections } = microblock
  it.each([
    ['no microblock', new Uint8Array(40)],
    ['other sections than its bodyHash says', fromBase64(base64Of({ header, sections: sections.slice(1) }))],
    ['another spelling', Uint8Array.of(0xa2, ...serialized.subarray(3))],
  ])('that gives %s gets no signature, and nobody is asked', async (_, bytes) => {
    answer = () => ({ ...DATA, b64SerializedMicroblock: toBase64(bytes) })
    let isAsked = false
    const person = () => {
      isAsked = true
      return true
    }
    const refusal = await failure({}, { person })
    expect(refusal).toEqual({
      code: -32603,
      message: 'The operator gave no microblock that can be approved',
    })
    expect(isAsked).toBe(false)
    expect(typesOf()).toEqual(['APPROVAL_HANDSHAKE'])
  })

  it('that asks for the keys twice, or answers out of turn, gets no signature', async () => {
    answer = () => ({ type: 'WALLET_OPERATOR_RESPONSE_ACTOR_KEY_REQUIRED', b64GenesisSeed: 'AAAA' })
    expect(await failure()).toMatchObject({ code: -32603 })
    expect(typesOf()).toEqual(['APPROVAL_HANDSHAKE', 'ACTOR_KEY'])
    const hash = toBase64(new Uint8Array(32))
    answer = () => ({ type: OUTCOME, b64VbHash: hash, b64MbHash: hash, height: 1 })
    expect(await failure()).toMatchObject({ code: -32603, message: /something else than it was asked/ })
  })

  const lie = (change: (told: Record<string, unknown>) => object): Answer => {
    return (request, response) => {
      const said = Object(honest(request, response))
      return said.type === OUTCOME ? { ...said, ...change(said) } : said
    }
  }
  const otherHash = toBase64(new Uint8Array(32).fill(9))
  it.each<[string, Answer]>([
    ['another microblock', lie(() => ({ b64MbHash: otherHash }))],
    ['another chain', lie(() => ({ b64VbHash: otherHash }))],
    ['another height', lie(() => ({ height: 2 }))],
    [
      'the microblock without the signature',
      lie(() => ({ b64MbHash: toBase64(microblockHash(microblock)) })),
    ],
  ])('that anchors %s does not get away with it', async (_, hostile) => {
    answer = hostile
    expect(await failure()).toEqual({
      code: -32603,
      message: 'The operator anchored something else than was approved',
    })
  })

  it('that refuses is quoted, in a few visible characters', async () => {
    const errorMessage = `No\u0000\u202e\n${'x'.repeat(500)}`
    answer = () => ({ type: 'WALLET_OPERATOR_RESPONSE_ERROR', errorMessage })
    const { code, message } = await failure()
    expect(code).toBe(-32603)
    expect(message).toBe(`The operator refused: No ${'x'.repeat(197)}`)
  })
})

describe('in a browser', () => {
  const answered = async (input: string | URL | Request, init?: RequestInit) => {
    calls.push({ url: String(input), init })
    return new Response(JSON.stringify({ ...DATA, pad: 'x'.repeat(length) }))
  }
  let calls: { url: string; init: RequestInit | undefined }[]
  let length = 0
  const request = { headers: {}, body: '{}', milliseconds: 1000, bytes: 10_000 }
  beforeEach(() => {
    calls = []
    length = 0
  })

  it('asks without cookies, and follows no redirect', async () => {
    const post = browserPost({ fetch: answered })
    const { status, body } = await post('https://operator.example.com/x', request)
    expect(status).toBe(200)
    expect(readMicroblock(fromBase64(JSON.parse(body).b64SerializedMicroblock))).toEqual(microblock)
    expect(calls[0]?.init).toMatchObject({ method: 'POST', credentials: 'omit', redirect: 'error' })
  })

  it.each([
    'http://operator.example.com',
    'https://127.0.0.1',
    'https://[::1]',
    'https://2130706433',
    'https://0x7f.1',
    'https://localhost',
    'https://printer.local.',
    'https://intranet',
  ])('does not ask %s', async (at) => {
    const post = browserPost({ fetch: answered })
    await expect(post(at, request)).rejects.toMatchObject({ code: 'forbidden' })
    expect(calls).toEqual([])
  })

  it('asks where it is allowed to, and nowhere beside', async () => {
    const post = browserPost({ fetch: answered, allowed: ['localhost:8080'] })
    expect((await post('http://localhost:8080/x', request)).status).toBe(200)
    await expect(post('http://localhost:8081/x', request)).rejects.toMatchObject({ code: 'forbidden' })
    await expect(post('nowhere', request)).rejects.toMatchObject({ code: 'bad_params' })
  })

  it('reads no more than it was told to', async () => {
    length = 20_000
    const post = browserPost({ fetch: answered })
    await expect(post('https://operator.example.com', request)).rejects.toThrow(/too long/)
  })

  it('approves with it as with the other one', async () => {
    const { host } = new URL(url)
    const { result } = await approve({}, { post: browserPost({ allowed: [host] }) })
    expect(result.height).toBe(1)
    answer = (_, response) => void response.writeHead(307, { location: `${url}/else` }).end()
    expect(await failure({}, { post: browserPost({ allowed: [host] }) })).toMatchObject({ code: -32603 })
    expect(typesOf()).toHaveLength(3)
  })
})
