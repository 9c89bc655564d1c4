/**
 * A process of attackers: is told by its parent what to do, says when it begins, and at the end how often each
 * thing was done.
 */

import { Orders } from './attack.ts'
import { ATTACKS } from './attacks.ts'
import { createStranger } from './stranger.ts'

process.on('message', async (message) => {
  const orders = Orders.parse(message)
  const attack = ATTACKS.find(({ title }) => title === orders.title)
  if (!attack) throw new Error(`No attack is called ${orders.title}`)
  const stranger = createStranger({
    ...orders,
    seconds: attack.seconds,
    onBegin: () => process.send?.('begun'),
  })
  const failure = await attack.run({ ...stranger, orders }).then(() => undefined, String)
  process.send?.(failure ?? stranger.tally)
})
