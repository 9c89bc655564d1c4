/**
 * A chain as its JSON-RPC endpoint shows it, with contract wallets and their factory on it. It has no virtual machine: the
 * one `eth_call` that Belfry makes is recognised by its code, and carried out as that code does (EIP-6492's universal validator).
 * Arguments, call data and return data are the real ABI, all the way down to the wallet's `isValidSignature`.
 */
import { createServer, type RequestListener } from 'node:http'
import {
  type Address,
  concat,
  decodeAbiParameters,
  decodeFunctionData,
  encodeAbiParameters,
  encodeFunctionData,
  encodeFunctionResult,
  erc6492SignatureValidatorAbi,
  erc6492SignatureValidatorByteCode,
  getAddress,
  type Hex,
  keccak256,
  parseAbi,
  recoverAddress,
  serializeErc6492Signature,
  size,
  slice,
} from 'viem'
import { z } from 'zod'

const MAGIC_VALUE = '0x1626ba7e'
const MAGIC_SUFFIX = `0x${'6492'.repeat(16)}` as const
const walletAbi = parseAbi(['function isValidSignature(bytes32 hash, bytes signature) view returns (bytes4)'])
const factoryAbi = parseAbi(['function create(address owner, uint256 salt) returns (address)'])

class Revert extends Error {}

type Contract = (data: Hex) => Promise<Hex>
type Contracts = Map<Address, Contract>

/** A wallet with one owner, whose signature over a hash it takes for its own. */
const walletOf =
  (owner: () => Address): Contract =>
  async (data) => {
    const { args } = decodeFunctionData({ abi: walletAbi, data })
    const [hash, signature] = args
    if (size(signature) !== 65) throw new Revert('the signature is not one of a key')
    const isOwner = (await recoverAddress({ hash, signature })) === getAddress(owner())
    return encodeFunctionResult({ abi: walletAbi, result: isOwner ? MAGIC_VALUE : '0xffffffff' })
  }

const FACTORY = getAddress('0x00000000000000000000000000000000000fac70')
const created = (owner: Address, salt: bigint): Address => {
  const types = [{ type: 'address' }, { type: 'address' }, { type: 'uint256' }] as const
  return getAddress(slice(keccak256(encodeAbiParameters(types, [FACTORY, getAddress(owner), salt])), 12))
}
const factoryOn =
  (contracts: Contracts): Contract =>
  async (data) => {
    const { args } = decodeFunctionData({ abi: factoryAbi, data })
    const address = created(...args)
    if (contracts.has(address)) throw new Revert('it is deployed already')
    contracts.set(
      address,
      walletOf(() => args[0]),
    )
    return encodeFunctionResult({ abi: factoryAbi, result: address })
  }

/** What the validator's constructor does; its changes go with `contracts`, a copy. */
const validate = async (contracts: Contracts, data: Hex): Promise<boolean> => {
  const [validator] = erc6492SignatureValidatorAbi
  const args = slice(data, size(erc6492SignatureValidatorByteCode))
  const [signer, hash, wrapped] = decodeAbiParameters(validator.inputs, args)
  let signature = wrapped
  if (size(wrapped) >= 32 && slice(wrapped, -32) === MAGIC_SUFFIX) {
    const types = [{ type: 'address' }, { type: 'bytes' }, { type: 'bytes' }] as const
    const [factory, factoryData, inner] = decodeAbiParameters(types, slice(wrapped, 0, -32))
    signature = inner
    if (!contracts.has(signer)) await contracts.get(getAddress(factory))?.(factoryData)
    if (!contracts.has(signer)) throw new Revert('SignatureValidator: deployment failed')
  }
  const contract = contracts.get(signer)
  if (contract) {
    const call = encodeFunctionData({
      abi: walletAbi,
      functionName: 'isValidSignature',
      args: [hash, signature],
    })
    return slice(await contract(call), 0, 4) === MAGIC_VALUE
  }
  if (size(signature) !== 65) throw new Revert('SignatureValidator: invalid signature length')
  return (await recoverAddress({ hash, signature })) === signer
}

const callSchema = z.object({
  method: z.literal('eth_call'),
  params: z.tuple([
    z.object({
      data: z.templateLiteral(['0x', z.string().regex(/^[0-9a-f]*$/i)]),
      to: z.string().optional(),
    }),
    z.string(),
  ]),
})
const codeSchema = z.object({ method: z.literal('eth_getCode'), params: z.tuple([z.string(), z.string()]) })
/** What a contract's code begins with. */
export const SOME_CODE = '0x6080'
const isCodeOfValidator = (data: string): data is Hex => data.startsWith(erc6492SignatureValidatorByteCode)

export const startChain = async () => {
  const contracts: Contracts = new Map()
  contracts.set(FACTORY, factoryOn(contracts))
  let calls = 0
  let fault: RequestListener | undefined

  const answerTo = async (body: string): Promise<Record<string, unknown>> => {
    const { method, params } = z
      .discriminatedUnion('method', [callSchema, codeSchema])
      .parse(JSON.parse(body))
    if (method === 'eth_getCode') {
      return { result: contracts.has(getAddress(params[0])) ? SOME_CODE : '0x' }
    }
    const [{ data, to }] = params
    if (to !== undefined) return { result: (await contracts.get(getAddress(to))?.(data)) ?? '0x' }
    if (!isCodeOfValidator(data)) return { error: { code: -32000, message: 'invalid opcode: INVALID' } }
    try {
      const scratch: Contracts = new Map(contracts)
      scratch.set(FACTORY, factoryOn(scratch))
      return { result: (await validate(scratch, data)) ? '0x01' : '0x00' }
    } catch (error) {
      // What viem and the wallet throw about what they are given is what the machine calls a revert.
      const why = error instanceof Revert ? `: ${error.message}` : ''
      return { error: { code: 3, message: `execution reverted${why}`, data: '0x' } }
    }
  }

  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (piece) => {
      body += String(piece)
    })
    request.on('end', () => {
      calls += 1
      if (fault) return fault(request, response)
      answerTo(body).then(
        (answer) => response.end(JSON.stringify({ jsonrpc: '2.0', id: 1, ...answer })),
        (error: unknown) => response.writeHead(400).end(String(error)),
      )
    })
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const address = server.address()
  const port = address && typeof address === 'object' ? address.port : 0

  return {
    url: `http://127.0.0.1:${port}`,
    /** How often it was asked. */
    get calls() {
      return calls
    },
    /** From now on it answers like this; undefined: as it should. */
    failWith(listener: RequestListener | undefined) {
      fault = listener
    },
    /** A wallet that stands on the chain; its owner may change. */
    deploy(address: Address, owner: () => string) {
      contracts.set(
        getAddress(address),
        walletOf(() => getAddress(owner())),
      )
    },
    /** A wallet that the factory would make for the owner: its address, and how its signatures are wrapped. */
    counterfactual(owner: string, salt = 0n) {
      const data = encodeFunctionData({
        abi: factoryAbi,
        functionName: 'create',
        args: [getAddress(owner), salt],
      })
      return {
        address: created(getAddress(owner), salt),
        wrap: (signature: string) =>
          serializeErc6492Signature({
            address: FACTORY,
            data,
            signature: concat([`0x${signature.slice(2)}`]),
          }),
        deploy: () => factoryOn(contracts)(data),
      }
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((done) => server.close(done))
    },
  }
}
export type Chain = Awaited<ReturnType<typeof startChain>>
