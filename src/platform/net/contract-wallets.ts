/**
 * Asks a chain whether a contract wallet signed a text (EIP-1271), also one that is not deployed yet (EIP-6492).
 *
 * It is one `eth_call` without a contract: the code of EIP-6492's universal validator and its arguments, which the node
 * runs and forgets. The validator deploys the wallet where the signature says how, then asks it.
 *
 * | the node                                       | that means                                            |
 * |------------------------------------------------|-------------------------------------------------------|
 * | answers 1                                      | signed; believed for five minutes                     |
 * | answers 0, or the execution fails              | not signed; asked again the next time                 |
 * | is none that is configured for the chain       | `identity_invalid`                                    |
 * | cannot be asked, is late, answers anything else | `unavailable`: nobody can say now                    |
 *
 * A wallet that changes its owner stops being believed within those five minutes.
 */
import { createHash } from 'node:crypto'
import * as z from 'zod'
import { chainOf, checksumAddress } from '../../protocol/caip.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { ContractWalletCheck } from '../../protocol/signatures.ts'
import { createTtlCache } from '../concurrency/ttl-cache.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Log } from '../telemetry.ts'
import { anyAddress } from './public-address.ts'
import { createPublicFetch, type PublicFetch } from './public-fetch.ts'

const ANSWER_CACHE = { ttlMs: 300_000, entries: 10_000 }
const CALL_LIMITS = { milliseconds: 5_000, bytes: 64 * 1024 }

const answerSchema = z.union([
  z.object({ result: z.string() }),
  z.object({ error: z.object({ code: z.number(), message: z.string() }) }),
])

/** Nodes agree on neither code nor words. What is not recognised here counts as a failure of the node. */
const isExecutionFailure = ({ code, message }: { code: number; message: string }): boolean =>
  code === 3 || /revert|invalid opcode|out of gas|stack (under|over)flow|invalid jump/i.test(message)

export interface ContractWalletsDeps {
  /** Absent: one that goes anywhere, because the nodes are the operator's own. */
  fetch?: PublicFetch
  clock: Clock
  log: Log
}

/** Needs the package viem, which is optional, and is loaded when it is needed. */
export const createContractWallets = (
  { fetch = createPublicFetch({ rules: anyAddress }), clock, log }: ContractWalletsDeps,
  /** By CAIP-2 chain. */
  { rpcUrls }: { rpcUrls: Readonly<Record<string, string>> },
): ContractWalletCheck => {
  const urls = new Map(Object.entries(rpcUrls))
  const cached = createTtlCache<boolean>({ clock }, { ...ANSWER_CACHE, isCacheable: (isSigned) => isSigned })

  const call = async (url: string, data: string): Promise<boolean> => {
    const request = { jsonrpc: '2.0', id: 1, method: 'eth_call', params: [{ data }, 'latest'] }
    const headers = { 'Content-Type': 'application/json' }
    const { body } = await fetch(url, { ...CALL_LIMITS, headers, body: JSON.stringify(request) })
    const answer = answerSchema.parse(JSON.parse(body))
    if ('error' in answer) {
      if (isExecutionFailure(answer.error)) return false
      throw new Error(`The node answered ${answer.error.code}: ${answer.error.message}`)
    }
    // The validator answers one byte; some nodes pad it.
    if (/^0x0*1$/.test(answer.result)) return true
    if (/^0x0+$/.test(answer.result)) return false
    throw new Error('The node does not run calls without a contract')
  }

  return async ({ account, text, signature }) => {
    const chain = chainOf(account)
    const url = urls.get(chain)
    if (url === undefined) {
      throw new ProtocolError('identity_invalid', `contract wallets of ${chain} cannot be verified here`)
    }
    const { encodeDeployData, erc6492SignatureValidatorAbi, erc6492SignatureValidatorByteCode, hashMessage } =
      await import('viem')
    const data = encodeDeployData({
      abi: erc6492SignatureValidatorAbi,
      bytecode: erc6492SignatureValidatorByteCode,
      args: [hex(checksumAddress(account.address)), hashMessage(text), hex(signature)],
    })
    // Everything that the answer depends on is in the call.
    const name = createHash('sha256').update(`${chain} ${data}`).digest('base64')
    return cached(name, async () => {
      try {
        return await call(url, data)
      } catch (err) {
        log.warn({ err, chain }, 'The RPC endpoint of a chain could not be asked')
        throw new ProtocolError('unavailable', 'the chain could not be asked', { cause: err })
      }
    })
  }
}

const hex = (text: string): `0x${string}` => `0x${text.slice(2)}`
