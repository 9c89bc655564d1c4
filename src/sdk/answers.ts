/**
 * The answers entry point: `belfry/answers`. What accounts answered to actions of notifications is verified here without
 * any server. Node and browsers.
 *
 *     const { receipts } = await dapp.receipts('vote-1')
 *     const { account, action } = await verifyAnswer(receipts[0].answer, { domain: 'app.example.com', notificationId: 'vote-1' })
 */
export {
  type AnswerProof,
  type ExpectedAnswer,
  type VerifiedAnswer,
  verifyAnswer,
} from '../notify/client/verify-answer.ts'
export { type ErrorCode, ProtocolError } from '../protocol/errors.ts'
