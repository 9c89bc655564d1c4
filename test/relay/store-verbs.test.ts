/** The spike of the mailboxes over the port keeps what the contract of the relay's store says. */
import { systemClock } from '../../src/platform/runtime/clock.ts'
import { createMailboxes } from '../../src/relay/store/verbs/mailboxes.ts'
import type { MailboxLimits } from '../../src/relay/store.ts'
import { relayLimitsContract } from '../contract/relay-limits.ts'
import { relayModelContract } from '../contract/relay-model.ts'
import { relayOwnersContract } from '../contract/relay-owners.ts'
import { relayStoreContract } from '../contract/relay-store.ts'
import { engines } from '../support/engines.ts'
import type { Engine, TestStores } from '../support/stores.ts'

/** The same stores, of which the mailboxes are those over the port. */
const overPort = (engine: Engine): Engine => ({
  name: `the port on ${engine.name}`,
  async open(options: { mailbox?: MailboxLimits } = {}) {
    const stores = await engine.open(options)
    const { mailbox: limits } = options
    const how = { ...(limits && { limits }), ...(engine.name !== 'LMDB' && { instance: 'one' }) }
    const made = () => ({ ...stores.relay, ...createMailboxes(stores.kv, systemClock, how) })
    let relay = made()
    const reopen = async () => {
      await stores.reopen()
      relay = made()
    }
    const of = (name: string | symbol, there: unknown) =>
      name === 'relay' ? relay : name === 'reopen' ? reopen : there
    return new Proxy<TestStores>(stores, { get: (_, name) => of(name, Reflect.get(stores, name)) })
  },
})

for (const engine of engines.map(overPort)) {
  relayStoreContract(engine)
  relayLimitsContract(engine)
  relayOwnersContract(engine)
  relayModelContract(engine)
}
