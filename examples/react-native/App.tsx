// First: React Native has no random numbers of its own, and keys are made of them.
import 'react-native-get-random-values'
import { asyncStorageStore, type Notification, openWallet, viemSigner, type Wallet } from '@belfry/wallet'
import AsyncStorage from '@react-native-async-storage/async-storage'
import { useEffect, useState } from 'react'
import { AppState, FlatList, Text } from 'react-native'
import * as Keychain from 'react-native-keychain'
import { hexToBytes, isHex } from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'

const url = 'https://belfry.example.com'
const app = 'app.example.com'
// Not copied to another phone by a backup: that one is another device.
const accessible = Keychain.ACCESSIBLE.AFTER_FIRST_UNLOCK_THIS_DEVICE_ONLY

/** 32 bytes in the phone's own safe, made when they are first asked for. */
const secret = async (service: string) => {
  const kept = await Keychain.getGenericPassword({ service })
  if (kept && isHex(kept.password)) return kept.password
  const made = generatePrivateKey()
  await Keychain.setGenericPassword(service, made, { service, accessible })
  return made
}

const open = async (received: (one: Notification) => void) => {
  const signer = viemSigner(privateKeyToAccount(await secret('account')))
  const store = asyncStorageStore(AsyncStorage, { seal: { key: hexToBytes(await secret('seal')) } })
  const wallet = await openWallet({ url, domain: 'wallet.example.com', allApps: true, ...signer, store })
  wallet.on('message', ({ notification }) => received(notification))
  return wallet
}

/** Rejects without a network; the wallet connects when there is one. */
const catchUp = async (wallet: Wallet) => {
  await wallet.watch()
  if (!wallet.subscriptions().some(({ domain }) => domain === app)) await wallet.subscribe(app)
}

export default function App() {
  const [shown, setShown] = useState<Notification[]>([])
  useEffect(() => {
    const show = (one: Notification) => setShown((others) => [one, ...others])
    let wallet: Wallet | undefined
    // One after the other: two wallets must not use one store at once.
    let turn = Promise.resolve()
    const follow = (state: string) => {
      const next = async () => {
        if (state === 'active') {
          wallet ??= await open(show)
          await catchUp(wallet)
        } else if (state === 'background') {
          // The system would cut the connection. What comes meanwhile waits on the server.
          await wallet?.close()
          wallet = undefined
        }
      }
      turn = turn.then(next).catch(console.error)
    }
    follow(AppState.currentState ?? 'active')
    const listening = AppState.addEventListener('change', follow)
    return () => {
      listening.remove()
      follow('background')
    }
  }, [])
  return <FlatList data={shown} renderItem={({ item }) => <Text>{`${item.title}: ${item.body}`}</Text>} />
}
