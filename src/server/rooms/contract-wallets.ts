/** Whether a contract wallet signed, as the nodes of the configuration say. */
import { createRequire } from 'node:module'
import { createContractWallets } from '../../platform/net/contract-wallets.ts'
import type { ContractWalletCheck } from '../../protocol/signatures.ts'
import { StartError } from '../config/start-error.ts'
import type { RoomContext } from '../context.ts'

/** Throws `StartError` when viem, which is optional, is not there. */
export const requireViem = (): void => {
  try {
    createRequire(import.meta.url).resolve('viem')
  } catch (cause) {
    const sentence = 'BELFRY_RPC_URLS needs the package viem, which is not installed: npm install viem.'
    throw new StartError([sentence], { cause })
  }
}

/** Undefined where no chain is configured. */
export const buildContractWallets = ({ config, clock, log }: RoomContext): ContractWalletCheck | undefined =>
  config.rpcUrls && createContractWallets({ clock, log }, { rpcUrls: config.rpcUrls })
