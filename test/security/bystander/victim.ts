/** Somebody whom an attack is about: what is theirs stays theirs. */
import { createArchiveClient } from '../../../src/archive/client.ts'
import { hashDid } from '../../../src/mq/dids.ts'
import { ed25519Signer } from '../../../src/mq/signers.ts'
import { systemClock } from '../../../src/platform/runtime/clock.ts'
import { toBase64, utf8 } from '../../../src/protocol/bytes.ts'
import { signJwt } from '../../../src/protocol/jwt.ts'
import { generateSigningKey } from '../../../src/protocol/keys.ts'
import { mqClient } from '../../../src/sdk/mq.ts'
import { relayAs } from '../../support/story.ts'
import type { Ground } from '../../support/world/attacked.ts'
import { inTime } from '../pulse.ts'
import type { Orders } from './attack.ts'
import { newTopic } from './stranger.ts'

const TAG = 5_000
const ARCHIVED = 20
/** As far as the relay can tell. */
const sealed = (text: string) => toBase64(utf8(text))
const own = new Set(Array.from({ length: ARCHIVED }, (_, at) => sealed(`message ${at}`)))
const HOUR_S = 3_600
const YEARS_S = 10 * 365 * 86_400

/** What a client signs for others to hold, none of which logs in as the client. */
const tokensOf = (key: ReturnType<typeof generateSigningKey>, relay: string, topic: string): string[] => {
  const iat = Math.floor(Date.now() / 1000)
  const claims = { iss: key.did, sub: newTopic(), aud: relay, iat }
  const service = { sub: 'https://service.example', typ: 'subscriber', tag: [1] }
  return [
    { ...claims, ...service, act: 'irn_watchRegister', exp: iat + HOUR_S },
    { ...claims, act: 'archive_compact', sub: topic, bfr: topic, exp: iat + HOUR_S },
    { ...claims, act: 'notify_subscription', exp: iat + HOUR_S },
    { ...claims, exp: iat + YEARS_S },
  ].map((all) => signJwt(all, key))
}

export const startVictim = async ({ servers, relays }: Ground) => {
  const [url = ''] = servers
  const [relayUrl = ''] = relays
  const key = generateSigningKey()
  const archive = createArchiveClient({ clock: systemClock, fetch }, { url, relayUrl, key })
  const [archived, waiting] = [newTopic(), newTopic()]
  await archive.register([TAG])
  {
    // Away from here on, with a message that waits.
    await using away = relayAs(relayUrl, key)
    await away.subscribe([waiting])
    for (const message of own) await away.publish({ topic: archived, message, tag: TAG, ttl: 300 })
  }
  await using friend = relayAs(relays.at(-1) ?? '')
  await friend.publish({ topic: waiting, message: sealed('waits'), tag: 1, ttl: 300 })

  const reader = ed25519Signer(generateSigningKey())
  const inbox = mqClient({ url, ...reader })
  const sender = mqClient({ url: servers.at(-1) ?? '', ...ed25519Signer(generateSigningKey()) })
  const first = await sender.put(reader.did, 'the first')
  await inbox.take({ id: first })

  const victim: Orders['victim'] = {
    topic: archived,
    waiting,
    queue: hashDid(reader.did),
    tokens: tokensOf(key, relayUrl, waiting),
  }
  return {
    victim,
    /** Throws what is theirs no more. */
    async check(): Promise<void> {
      const left = (await inTime('The archive answers', archive.messages(archived)))?.messages ?? []
      const kept = left.filter(({ message }) => own.has(message)).length
      if (kept !== ARCHIVED) throw new Error(`The archive kept ${kept} of ${ARCHIVED} messages`)

      const id = await inTime('A friend puts', sender.put(reader.did, 'from a friend'))
      const got = await inTime('The reader takes', inbox.take({ id }))
      if (got?.text !== 'from a friend') throw new Error('What a friend put did not come')

      await inTime(
        'The message that waited comes',
        new Promise<void>((resolve, reject) => {
          const back = relayAs(relayUrl, key, ({ message }) => {
            if (message !== sealed('waits')) return
            resolve(back[Symbol.asyncDispose]())
          })
          back.subscribe([waiting]).catch(reject)
        }),
      )
    },
  }
}
