import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type System, startSystem } from '../support/world/system.ts'
import { type Peer, startPeer } from './peer.ts'

/** Two published sign-clients, a dapp and a wallet, with our relay between them. */
const newest = '@walletconnect/sign-client'
const older = 'sign-client-2.17'
const pairs = [
  { dapp: newest, wallet: newest },
  { dapp: newest, wallet: older },
  { dapp: older, wallet: newest },
]

const account = 'eip155:1:0xab16a96D359eC26a11e2C2b3d8f8B8942d5Bfcdb'
const methods = ['personal_sign', 'eth_sendTransaction']
const events = ['chainChanged', 'accountsChanged']
const wanted = { eip155: { chains: ['eip155:1'], methods, events } }
const granted = { eip155: { accounts: [account], chains: ['eip155:1'], methods, events } }

const SESSION_REQUEST = 1108

interface Proposal {
  id: number
  params: { proposer: { metadata: { name: string } } }
}
interface Session {
  topic: string
  namespaces: Record<string, { accounts: string[] }>
  peer: { metadata: { name: string } }
}
interface SessionRequest {
  id: number
  topic: string
  params: { chainId: string; request: { method: string; params: unknown } }
}
interface SessionEvent {
  topic: string
  params: { chainId: string; event: { name: string; data: unknown } }
}

let system: System
beforeAll(async () => {
  system = await startSystem()
})
afterAll(() => system[Symbol.asyncDispose]())

const startClient = async (client: string, name: string, index: number): Promise<Peer> => {
  const peer = await startPeer('sign', { client })
  await peer.call('init', {
    relayUrl: system.relayUrl(index),
    projectId: system.projectId,
    metadata: { name, description: name, url: `https://${name}.example`, icons: [] },
  })
  return peer
}

const propose = async (dapp: Peer, wallet: Peer): Promise<Proposal> => {
  const uri = await dapp.call<string>('connect', { optionalNamespaces: wanted })
  await wallet.call('pair', { uri })
  return wallet.next<Proposal>('session_proposal')
}

const settle = async (dapp: Peer, wallet: Peer): Promise<string> => {
  const { id } = await propose(dapp, wallet)
  const [atWallet, atDapp] = await Promise.all([
    wallet.call<Session>('approve', { id, namespaces: granted }),
    dapp.next<Session>('settled'),
  ])
  expect(atDapp.topic).toBe(atWallet.topic)
  return atDapp.topic
}

const personalSign = {
  chainId: 'eip155:1',
  request: { method: 'personal_sign', params: ['0x68656c6c6f', account] },
}

describe.each(pairs)(
  'a dapp on $dapp and a wallet on $wallet',
  ({ dapp: dappClient, wallet: walletClient }) => {
    it('pair, propose, approve, request, event, update, extend, ping and disconnect', async () => {
      await using dapp = await startClient(dappClient, 'dapp', 0)
      await using wallet = await startClient(walletClient, 'wallet', 1)

      const proposal = await propose(dapp, wallet)
      expect(proposal.params.proposer.metadata.name).toBe('dapp')
      const [atWallet, atDapp] = await Promise.all([
        wallet.call<Session>('approve', { id: proposal.id, namespaces: granted }),
        dapp.next<Session>('settled'),
      ])
      const { topic } = atDapp
      expect(atWallet.topic).toBe(topic)
      expect(atDapp.peer.metadata.name).toBe('wallet')
      expect(atDapp.namespaces.eip155?.accounts).toEqual([account])

      const answer = dapp.call('request', { topic, ...personalSign })
      const request = await wallet.next<SessionRequest>('session_request')
      expect(request.params).toMatchObject(personalSign)
      await wallet.call('respond', {
        topic,
        response: { id: request.id, jsonrpc: '2.0', result: '0xsigned' },
      })
      expect(await answer).toBe('0xsigned')

      const refused = expect(dapp.call('request', { topic, ...personalSign })).rejects.toThrow(
        'User rejected.',
      )
      const second = await wallet.next<SessionRequest>('session_request')
      const error = { code: 5000, message: 'User rejected.' }
      await wallet.call('respond', { topic, response: { id: second.id, jsonrpc: '2.0', error } })
      await refused

      await wallet.call('emit', { topic, chainId: 'eip155:1', event: { name: 'chainChanged', data: 1 } })
      const event = await dapp.next<SessionEvent>('session_event')
      expect(event.params).toEqual({ chainId: 'eip155:1', event: { name: 'chainChanged', data: 1 } })

      const wider = { eip155: { ...granted.eip155, accounts: [account, `${account.slice(0, -4)}0000`] } }
      await wallet.call('update', { topic, namespaces: wider })
      expect(await dapp.next('session_update')).toMatchObject({ topic, params: { namespaces: wider } })
      await wallet.call('extend', { topic })
      await dapp.next('session_extend')

      await dapp.call('ping', { topic })
      await wallet.next('session_ping')
      await wallet.call('ping', { topic })
      await dapp.next('session_ping')

      await dapp.call('disconnect', { topic, reason: { code: 6000, message: 'User disconnected.' } })
      expect(await wallet.next('session_delete')).toMatchObject({ topic })
      expect(await dapp.call('sessions')).toEqual([])
      expect(await wallet.call('sessions')).toEqual([])
    }, 60_000)

    it('a request that is made while the wallet is away waits for it', async () => {
      await using dapp = await startClient(dappClient, 'dapp', 0)
      await using wallet = await startClient(walletClient, 'wallet', 1)
      const topic = await settle(dapp, wallet)

      await wallet.call('offline')
      const answer = dapp.call('request', { topic, ...personalSign })
      await dapp.next<number>('published', (tag) => tag === SESSION_REQUEST)
      await wallet.call('online')
      const request = await wallet.next<SessionRequest>('session_request')
      await wallet.call('respond', { topic, response: { id: request.id, jsonrpc: '2.0', result: '0xlate' } })
      expect(await answer).toBe('0xlate')
      expect(wallet.left('session_request')).toEqual([])
    }, 60_000)
  },
)

describe('sign-client', () => {
  it('a refused proposal reaches the dapp with its reason', async () => {
    await using dapp = await startClient(newest, 'dapp', 0)
    await using wallet = await startClient(newest, 'wallet', 1)
    const { id } = await propose(dapp, wallet)
    await wallet.call('reject', { id, reason: { code: 5000, message: 'User rejected.' } })
    expect(await dapp.next('refused')).toMatchObject({ code: 5000 })
  }, 60_000)

  it('asks no outside service before it shows a proposal or a request', async () => {
    await using dapp = await startClient(newest, 'dapp', 0)
    await using wallet = await startClient(newest, 'wallet', 1)
    const topic = await settle(dapp, wallet)
    const answer = dapp.call('request', { topic, ...personalSign })
    const request = await wallet.next<SessionRequest>('session_request')
    await wallet.call('respond', { topic, response: { id: request.id, jsonrpc: '2.0', result: '0x' } })
    await answer
    // Usage statistics go to a host of their own; what must not happen is a look-up of attestations.
    expect(wallet.outside.filter((host) => host.startsWith('verify'))).toEqual([])
    expect(dapp.outside.filter((host) => host.startsWith('verify'))).toEqual([])
  }, 60_000)

  it('goes on with its session when the relay was restarted, and hears what was said just before', async () => {
    await using dapp = await startClient(newest, 'dapp', 0)
    await using wallet = await startClient(older, 'wallet', 1)
    const topic = await settle(dapp, wallet)
    await wallet.call('offline')
    const early = dapp.call('request', { topic, ...personalSign })
    await dapp.next<number>('published', (tag) => tag === SESSION_REQUEST)
    await system.restart()
    await wallet.call('online')
    const first = await wallet.next<SessionRequest>('session_request')
    await wallet.call('respond', { topic, response: { id: first.id, jsonrpc: '2.0', result: '0xearly' } })
    expect(await early).toBe('0xearly')

    const late = dapp.call('request', { topic, ...personalSign })
    const second = await wallet.next<SessionRequest>('session_request')
    await wallet.call('respond', { topic, response: { id: second.id, jsonrpc: '2.0', result: '0xlate' } })
    expect(await late).toBe('0xlate')
  }, 60_000)
})
