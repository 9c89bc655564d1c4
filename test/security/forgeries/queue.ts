/** The reader of a queue, a friend who puts into it with a proof, and what a stranger makes of that proof. */
import { mqClient, type ReceivedMessage } from '../../../src/mq/client.ts'
import { messageProofText } from '../../../src/mq/signers.ts'
import { type Agent, hubAt } from '../../mq/agents.ts'
import { isFine, type Stranger } from '../bystander/stranger.ts'

const PROOF = 'x-mq-message-signature'
/** Over the token alone. */
const WEAK_PROOF = 'x-mq-signature'

/** What goes over the wire with a message. */
export interface Seen {
  token: string
  sender: string
  signature: string
}

/** With the proof that the server knows: over the message too, or, as a server of former times, over the token alone. */
export const putSigned = async (
  url: string,
  { sender, reader, message }: { sender: Agent; reader: Agent; message: string },
): Promise<Seen> => {
  const hub = hubAt(url)
  const token = await hub.token(reader.hash)
  const put = async (header: string, text: string): Promise<Seen | undefined> => {
    const signature = await sender.sign(text)
    const headers = { 'x-mq-sender': sender.did, [header]: signature }
    const { status } = await hub.ask('PUT', `/put/${reader.hash}`, token, {
      ...{ body: JSON.stringify({ message }), headers },
    })
    return status === 200 ? { token, sender: sender.did, signature } : undefined
  }
  const seen = (await put(PROOF, messageProofText(token, message))) ?? (await put(WEAK_PROOF, token))
  if (!seen) throw new Error('A message with a proof was not taken')
  return seen
}

/** At every server, as either kind of proof, with the token of the friend and with one of its own. */
export const putUnderProof = async (
  stranger: Stranger,
  reader: Agent,
  { token, sender, signature }: Seen,
): Promise<void> => {
  for (const server of stranger.servers) {
    const put = (held: string, headers: Record<string, string>) =>
      stranger.http(
        'PUT',
        `${server}/mq/default/put/${reader.hash}`,
        { message: 'from a stranger' },
        { 'x-mq-authorization': held, ...headers },
      )
    const own = await hubAt(server).token(reader.hash)
    for (const held of [token, own]) {
      for (const headers of [
        { [PROOF]: signature },
        { [WEAK_PROOF]: signature },
        { [PROOF]: signature, [WEAK_PROOF]: signature },
      ]) {
        const answer = await put(held, { 'x-mq-sender': sender, ...headers })
        stranger.note('put under the proof of a friend', isFine(answer))
      }
    }
    stranger.note('put without a proof', isFine(await put(own, {})))
  }
}

/** All that the reader takes up to a last message, which is put now. */
export const takeAll = async (url: string, reader: Agent) => {
  const last = await hubAt(url).put(reader.hash, 'the last one')
  const inbox = mqClient({ url, did: reader.did, sign: reader.sign })
  const taken: ReceivedMessage[] = []
  for (;;) {
    const message = await inbox.take()
    if (!message || message.id === last) return taken
    taken.push(message)
  }
}
