/** @jsxImportSource react */
/** A phone in a page: what `examples/react-native` imports of React Native and of its packages, with the same meaning. */
import type { ReactElement, ReactNode } from 'react'

type Follow = (state: string) => void

const followers = new Set<Follow>()

export const AppState = {
  currentState: 'active',
  addEventListener(_: 'change', follow: Follow) {
    followers.add(follow)
    return { remove: () => void followers.delete(follow) }
  },
}

/** What the system does when the person leaves the app, or comes back to it. */
const setAppState = (state: string): void => {
  AppState.currentState = state
  for (const follow of followers) follow(state)
}
Object.assign(globalThis, { setAppState })

export const Text = ({ children }: { children?: ReactNode }) => <span>{children}</span>

export const FlatList = <T extends { id: string }>({
  data,
  renderItem,
}: {
  data: readonly T[]
  renderItem(row: { item: T; index: number }): ReactElement | null
}) => (
  <ul>
    {data.map((item, index) => (
      <li key={item.id}>{renderItem({ item, index })}</li>
    ))}
  </ul>
)

/** Of async-storage. */
export default {
  getItem: async (name: string) => localStorage.getItem(name),
  setItem: async (name: string, value: string) => localStorage.setItem(name, value),
  removeItem: async (name: string) => localStorage.removeItem(name),
}

/** Of keychain. */
export const ACCESSIBLE = { AFTER_FIRST_UNLOCK_THIS_DEVICE_ONLY: 'AccessibleAfterFirstUnlockThisDeviceOnly' }

const keychainItem = (service: string) => `keychain ${service}`

export const getGenericPassword = async ({ service }: { service: string }) => {
  const password = localStorage.getItem(keychainItem(service))
  return password === null ? false : { username: service, password, service, storage: 'page' }
}

export const setGenericPassword = async (_: string, password: string, { service }: { service: string }) =>
  localStorage.setItem(keychainItem(service), password)
