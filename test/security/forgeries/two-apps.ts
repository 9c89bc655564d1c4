/** An account that is subscribed to two apps, on two devices that watch all, and whoever has the key of the first app. */
import { createReleaseStack } from '../../../src/platform/runtime/release-stack.ts'
import { fromHex } from '../../../src/protocol/bytes.ts'
import { topicOf } from '../../../src/protocol/topic.ts'
import { newOwner } from '../../support/owner.ts'
import { newDevice } from '../../support/story.ts'
import type { Ground } from '../../support/world/attacked.ts'
import { listenOn, placeAt } from './asking.ts'

/** Which of these stand in the text, by their names. */
export const namesIn = (text: string, sought: Record<string, string>): string[] =>
  Object.entries(sought).flatMap(([name, what]) => (text.includes(what) ? [name] : []))

export const startTwoApps = async (ground: Ground) => {
  const owned = createReleaseStack()
  try {
    const [one, other] = [await ground.enrol('one.example'), await ground.enrol('other.example')]
    const owner = newOwner()
    const wallet = owned.use(newDevice(placeAt(ground, 0), owner))
    const second = owned.use(newDevice(placeAt(ground, -1), owner))
    await wallet.watch()
    await second.watch()
    await wallet.subscribe(one.domain)
    await wallet.subscribe(other.domain)
    const keyOf = (domain: string) =>
      wallet.export().subscriptions.find(({ appDomain }) => appDomain === domain)?.symKey ?? ''
    const [key, otherKey] = [keyOf(one.domain), keyOf(other.domain)]
    return {
      ...{ wallet, second, one, other, key },
      /** What tells of the other app. */
      hidden: {
        'the key of the other app': otherKey,
        'the topic of the other app': topicOf(fromHex(otherKey)),
        'the domain of the other app': other.domain,
      },
      listener: owned.use(await listenOn(ground.relays.at(-1) ?? '', fromHex(key))),
      [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose](),
    }
  } catch (error) {
    await owned[Symbol.asyncDispose]()
    throw error
  }
}
