import type { AppRecord } from '../../notify/store/store.ts'

/** People remember names of notification types; the wire has ids. */
export const typeNamed = ({ types }: Pick<AppRecord, 'types'>, text: string): string =>
  types.find(({ name }) => name === text)?.id ?? text
