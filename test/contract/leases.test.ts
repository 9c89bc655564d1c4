import { engines } from '../support/engines.ts'
import { leasesContract } from './leases.ts'

for (const engine of engines) leasesContract(engine)
