import { engines } from '../support/stores.ts'
import { leasesContract } from './leases.ts'

for (const engine of engines) leasesContract(engine)
