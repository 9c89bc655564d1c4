import type { AppRecord } from '../../notify/store/store.ts'

/** Every subscribe topic that leads to the app: of its present keys and of former ones. */
export const topicsOf = ({ subscribeTopic, previousKeys = [] }: AppRecord): string[] => [
  subscribeTopic,
  ...previousKeys.map((keys) => keys.subscribeTopic),
]
