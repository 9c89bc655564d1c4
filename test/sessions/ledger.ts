/** What dapps' servers and wallets of the tests make: microblocks, keys, the method that approves. */
import { randomBytes } from 'node:crypto'
import { HCVPkeEncoder, MlKemPrivateDecryptionKey } from '@cmts-dev/carmentis-sdk/server'
import { addressRules } from '../../src/platform/net/public-address.ts'
import { createPublicFetch } from '../../src/platform/net/public-fetch.ts'
import { toBase64, utf8 } from '../../src/protocol/bytes.ts'
import { type CarmentisKey, carmentisKey, deriveActorKeys } from '../../src/sessions/carmentis/keys.ts'
import { bodyHashOf, type Microblock, writeMicroblock } from '../../src/sessions/carmentis/microblock.ts'
import { dataApproval } from '../../src/sessions/methods/data-approval.ts'
import type { WiapPost } from '../../src/sessions/methods/wiap.ts'

export const newMicroblock = (
  message = 'Ring the bells?',
  { height = 1, previousHash = new Uint8Array(randomBytes(32)) }: Partial<Microblock['header']> = {},
): Microblock => {
  const sections = [
    { type: 88, channelId: 0, data: utf8('{"bells":10}') },
    { type: 91, endorserId: 0, message },
  ]
  const header = {
    magicString: 'CMTS' as const,
    protocolVersion: 1,
    microblockType: 5,
    height,
    previousHash,
    timestamp: 1_760_000_000,
    maxFees: 0,
    gasPrice: 0,
    bodyHash: bodyHashOf(sections),
    feesPayerAccount: new Uint8Array(32),
  }
  return { header, sections }
}

export const base64Of = (microblock: Microblock): string => toBase64(writeMicroblock(microblock))

export const newKey = (): CarmentisKey => carmentisKey(new Uint8Array(randomBytes(32)))

/** Talks to this machine only. */
export const loopbackPost: WiapPost = createPublicFetch({ rules: addressRules(['127.0.0.1']) })

/** The method of a wallet with one account. */
export const approvalBy = (key: CarmentisKey, post = loopbackPost, accountSeed = randomBytes(32)) =>
  dataApproval({
    post,
    knownKey: async () => key,
    actorKeys: (genesisSeed) =>
      deriveActorKeys(new Uint8Array(accountSeed), genesisSeed, async (seed) => {
        const decryption = await MlKemPrivateDecryptionKey.genFromSeed(seed)
        return HCVPkeEncoder.createBase64HCVPkeEncoder().encodePublicEncryptionKey(
          await decryption.getPublicKey(),
        )
      }),
  })
