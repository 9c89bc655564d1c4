/**
 * What `examples/react-native` uses of the packages that a project of React Native brings, as their own types have it:
 * react-native 0.88, async-storage 3, keychain 10. Installing these here would bring all of React Native.
 */
interface Console {
  error(...data: unknown[]): void
}
declare var console: Console

declare module 'react-native-get-random-values'

declare module '@react-native-async-storage/async-storage' {
  const storage: {
    getItem(key: string): Promise<string | null>
    setItem(key: string, value: string): Promise<void>
    removeItem(key: string): Promise<void>
  }
  export default storage
}

declare module 'react-native-keychain' {
  export enum ACCESSIBLE {
    AFTER_FIRST_UNLOCK_THIS_DEVICE_ONLY = 'AccessibleAfterFirstUnlockThisDeviceOnly',
  }
  export interface UserCredentials {
    username: string
    password: string
    service: string
  }
  export function getGenericPassword(options?: { service?: string }): Promise<false | UserCredentials>
  export function setGenericPassword(
    username: string,
    password: string,
    options?: { service?: string; accessible?: ACCESSIBLE },
  ): Promise<unknown>
}

declare module 'react-native' {
  import type { ComponentType, ReactElement, ReactNode } from 'react'

  export type AppStateStatus = 'active' | 'background' | 'inactive' | 'unknown' | 'extension'
  export const AppState: {
    currentState: string | null | undefined
    addEventListener(type: 'change', listener: (state: AppStateStatus) => void): { remove(): void }
  }
  export const Text: ComponentType<{ children?: ReactNode }>
  export function FlatList<T>(props: {
    data: readonly T[]
    renderItem(row: { item: T; index: number }): ReactElement | null
  }): ReactElement
}
