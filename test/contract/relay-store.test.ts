import { engines } from '../support/engines.ts'
import { relayLimitsContract } from './relay-limits.ts'
import { relayModelContract } from './relay-model.ts'
import { relayOwnersContract } from './relay-owners.ts'
import { relayStoreContract } from './relay-store.ts'
import { relayWatchesContract } from './relay-watches.ts'

for (const engine of engines) {
  relayStoreContract(engine)
  relayLimitsContract(engine)
  relayOwnersContract(engine)
  relayModelContract(engine)
  relayWatchesContract(engine)
}
