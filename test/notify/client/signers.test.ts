/** What applications have already signs for a wallet, and the server takes it. viem is itself; the others are known by their shapes. */
import { runInNewContext } from 'node:vm'
import { type Account, createWalletClient, custom, type SignableMessage, type WalletClient } from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { mainnet } from 'viem/chains'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { fromBase58, fromHex, fromUtf8 } from '../../../src/protocol/bytes.ts'
import {
  eip1193Signer,
  ethersSigner,
  type Signer,
  solanaSigner,
  viemSigner,
  wagmiSigner,
} from '../../../src/sdk/wallet.ts'
import { newSolanaOwner } from '../../support/owner.ts'
import { type ClientWorld, startClientWorld } from '../../support/world/wallets.ts'

let world: ClientWorld
beforeAll(async () => {
  world = await startClientWorld()
})
afterAll(async () => {
  await world?.[Symbol.asyncDispose]()
})

const newAccount = () => privateKeyToAccount(generatePrivateKey())

/** A provider of EIP-1193 with these accounts, like one that a browser's wallet leaves in the page. */
const providerOf = (...accounts: ReturnType<typeof newAccount>[]) => {
  const asked: string[] = []
  return {
    asked,
    async request({ method, params }: { method: string; params?: unknown }): Promise<unknown> {
      asked.push(method)
      if (method === 'eth_requestAccounts') return accounts.map(({ address }) => address.toLowerCase())
      if (method !== 'personal_sign' || !Array.isArray(params)) throw new Error(`${method} is not known`)
      const [text, address]: unknown[] = params
      const account = accounts.find((one) => one.address.toLowerCase() === String(address).toLowerCase())
      return account?.signMessage({ message: fromUtf8(fromHex(String(text).slice(2))) })
    },
  }
}

/** The server verifies the signature when the identity key is registered. */
const registers = async (signer: Signer) => {
  const sign = async (text: string) => {
    const signature = await signer.sign(text)
    if (typeof signature !== 'string') throw new Error(`It is typed ${signature.t}`)
    return signature
  }
  const { wallet } = world.device({ account: signer.account, sign: (text) => String(text) }, { sign })
  await wallet.register()
  expect(wallet.export().registeredFor).not.toBeNull()
  return wallet.account
}

describe('the server takes what is signed by', () => {
  test('an account of viem', async () => {
    const account = newAccount()
    expect(await registers(viemSigner(account))).toBe(`eip155:1:${account.address}`)
    expect(viemSigner(account, { chainId: 10 }).account).toBe(`eip155:10:${account.address}`)
  })

  test('a WalletClient of viem, with a key of its own or of a provider', async () => {
    const account = newAccount()
    const transport = custom(providerOf(account))
    const local = createWalletClient({ account, chain: mainnet, transport })
    expect(await registers(viemSigner(local))).toBe(`eip155:1:${account.address}`)
    const remote = createWalletClient({ account: account.address, chain: mainnet, transport })
    expect(await registers(viemSigner(remote))).toBe(`eip155:1:${account.address}`)
    // A type that leaves open whether there is an account.
    const open: WalletClient = local
    expect(await registers(viemSigner(open))).toBe(`eip155:1:${account.address}`)
    const nobody: WalletClient = createWalletClient({ chain: mainnet, transport })
    expect(() => viemSigner(nobody)).toThrow('has no account')
  })

  test('a signer with the shape of ethers', async () => {
    const account = newAccount()
    const signer = {
      getAddress: async () => account.address,
      signMessage: (message: string | Uint8Array) =>
        account.signMessage({ message: typeof message === 'string' ? message : { raw: message } }),
    }
    expect(await registers(await ethersSigner(signer))).toBe(`eip155:1:${account.address}`)
  })

  test('a function with the shape of wagmi', async () => {
    const account = newAccount()
    // As wagmi's type has it: more may be given than is.
    const signMessage = (request: {
      account?: `0x${string}` | Account | undefined
      message: SignableMessage
    }) => {
      expect(request.account).toBe(account.address)
      return account.signMessage(request)
    }
    const { address } = account
    expect(await registers(wagmiSigner({ address, signMessage }))).toBe(`eip155:1:${address}`)
  })

  test('a provider of EIP-1193, by the account that is wanted', async () => {
    const [first, second] = [newAccount(), newAccount()]
    const provider = providerOf(first, second)
    expect(await registers(await eip1193Signer(provider))).toBe(`eip155:1:${first.address}`)
    const wanted = { address: second.address }
    expect(await registers(await eip1193Signer(provider, wanted))).toBe(`eip155:1:${second.address}`)
    expect(provider.asked).toEqual([
      ...['eth_requestAccounts', 'personal_sign'],
      ...['eth_requestAccounts', 'personal_sign'],
    ])
    await expect(eip1193Signer(providerOf())).rejects.toThrow('no such account')
  })

  test('a wallet adapter of Solana, in both shapes of its answer', async () => {
    const owner = newSolanaOwner()
    const publicKey = { toBase58: () => owner.address }
    const signed = async (message: Uint8Array) => fromBase58(owner.sign(fromUtf8(message)))
    expect(await registers(solanaSigner({ publicKey, signMessage: signed }))).toBe(owner.account)
    const inPage = { publicKey, signMessage: async (text: Uint8Array) => ({ signature: await signed(text) }) }
    expect(await registers(solanaSigner(inPage))).toBe(owner.account)
    const ofAnotherRealm = (data: Uint8Array): Uint8Array =>
      runInNewContext('Uint8Array.from(data)', { data })
    // `useWallet` of the adapters has the member always.
    type Adapter = { signMessage: ((text: Uint8Array) => Promise<Uint8Array>) | undefined }
    const adapter: Adapter = { signMessage: signed }
    expect(await registers(solanaSigner({ publicKey, ...adapter }))).toBe(owner.account)
    const inFrame = { publicKey, signMessage: async (text: Uint8Array) => ofAnotherRealm(await signed(text)) }
    expect(await registers(solanaSigner(inFrame))).toBe(owner.account)
    expect(() => solanaSigner({ publicKey: null })).toThrow('not connected')
    expect(() => solanaSigner({ publicKey })).toThrow('cannot sign')
  })
})

test('a signature of a smart account names its kind', async () => {
  const { address } = newAccount()
  const kindOf = async (signature: string, options = {}) => {
    const signed = await viemSigner({ address, signMessage: async () => signature }, options).sign('text')
    return typeof signed === 'string' ? 'eip191' : signed
  }
  const [key, contract] = [`0x${'11'.repeat(65)}`, `0x${'11'.repeat(96)}`]
  expect(await kindOf(key)).toBe('eip191')
  expect(await kindOf(key, { type: 'eip1271' })).toEqual({ t: 'eip1271', s: key })
  expect(await kindOf(contract)).toEqual({ t: 'eip1271', s: contract })
  const undeployed = contract + '6492'.repeat(16)
  expect(await kindOf(undeployed)).toEqual({ t: 'eip6492', s: undeployed })
})
