/**
 * The entry point for agents with message queues: `belfry/mq`.
 *
 *     const mq = mqClient({ url: 'https://belfry.example.com', ...ed25519Signer(key), agreementKey })
 *     await mq.put(theirDid, 'hello', { sealTo: theirKey })
 *     for await (const { text, sender } of mq.messages(signal)) show(text, sender)
 */
import '../platform/runtime/dispose-symbols.ts'

export {
  accountSigner,
  ed25519Signer,
  type MqClient,
  type MqClientOptions,
  type MqSigner,
  mqClient,
  type PutOptions,
  type ReceivedMessage,
  secp256k1Signer,
  webSigner,
} from '../mq/client.ts'
export { hashDid } from '../mq/dids.ts'
export { type ErrorCode, ProtocolError } from '../protocol/errors.ts'
export {
  agreementKeyFrom,
  generateAgreementKey,
  generateSigningKey,
  type KeyPair,
  type SigningKey,
  signingKeyFrom,
} from '../protocol/keys.ts'
