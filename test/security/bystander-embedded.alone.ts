/** One process on the embedded store, attacked beside a bystander: see bystander/serves.ts. */
import { GROUNDS } from '../support/world/attacked.ts'
import { servesEverybodyElse } from './bystander/serves.ts'

servesEverybodyElse(GROUNDS[0])
