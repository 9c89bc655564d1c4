/** Wake-ups of the port: at once in this process, by publish/subscribe in others. */
import type { Kv } from '../../kv.ts'
import type { Channels } from '../channels.ts'

type Listener = Parameters<Kv['listen']>[1]

/** A text is sent behind the instance that sent it, which has told its own listeners. */
export const createWakeUps = (channels: Channels, instance: string): Pick<Kv, 'publish' | 'listen'> => {
  const own = new Map<string, Set<Listener>>()
  let outgoing: { channel: string; text: string }[] = []
  const flush = () => {
    const all = outgoing
    outgoing = []
    channels.publish(all)
  }
  return {
    publish(channel, texts) {
      for (const text of texts) for (const listener of [...(own.get(channel) ?? [])]) listener(text, channel)
      // What is said in one turn leaves together: a call of each channel costs as much as a commit.
      if (outgoing.length === 0) queueMicrotask(flush)
      for (const text of texts) outgoing.push({ channel, text: `${instance} ${text}` })
    },
    listen(wanted, listener) {
      // A function of its own: the same listener may listen twice.
      const mine: Listener = (text, channel) => listener(text, channel)
      for (const channel of wanted) own.set(channel, (own.get(channel) ?? new Set()).add(mine))
      const subscription = channels.listen(wanted, (text, channel) => {
        const end = text.indexOf(' ')
        if (text.slice(0, end) !== instance) listener(text.slice(end + 1), channel)
      })
      return {
        [Symbol.dispose]() {
          subscription[Symbol.dispose]()
          for (const channel of wanted) {
            const known = own.get(channel)
            known?.delete(mine)
            if (known?.size === 0) own.delete(channel)
          }
        },
      }
    },
  }
}
