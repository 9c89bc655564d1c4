/** The routes of `http.ts` in the words of OpenAPI. */
import * as z from 'zod'
import type { Answer, RoomDescription } from '../platform/net/description.ts'
import { GetWalletsQuery, ImageId, Listing, ListingsQuery, Size } from './schema.ts'

const Brief = z.object({
  ...{ id: z.string(), name: z.string(), homepage: z.string(), order: z.number() },
  ...{ chains: z.array(z.string()), image_id: z.string(), rdns: z.string().nullable() },
  ...{ mobile_link: z.string().nullable(), desktop_link: z.string().nullable() },
  ...{ webapp_link: z.string().nullable(), app_store: z.string().nullable() },
  ...{ play_store: z.string().nullable(), injected: z.array(z.unknown()).nullable() },
})
const NO_IMAGE = { 404: 'The file names no such image' }
const FOUND: Answer = { status: 302, says: 'Where the image is', headers: { Location: 'Its URL' } }
const IMAGE_ID = '7a33d7f1-3d12-4b5c-f3ee-5cd83cb1b500'
const WALLET = {
  ...{ id: 'rook', name: 'Rook Wallet', homepage: 'https://rook.example', chains: ['eip155:1'] },
  image_id: IMAGE_ID,
  mobile: { native: 'rook://', universal: 'https://rook.example/open' },
}

export const EXPLORER: RoomDescription = {
  tag: { name: 'explorer', description: "The operator's list of wallets, for modals of dapps" },
  params: { size: Size, imageId: ImageId },
  operations: [
    {
      ...{ id: 'listWalletListings', method: 'get', path: '/v3/wallets' },
      summary: 'List wallets, as older modals ask',
      description:
        'All that match, or a page of `entries`. Listings are as the file of the operator has them.',
      query: ListingsQuery,
      answer: z.object({ listings: z.record(z.string(), Listing), count: z.number(), total: z.number() }),
      example: {
        query: { entries: '1', page: '1', search: 'rook' },
        answer: { listings: { rook: WALLET }, count: 1, total: 1 },
      },
    },
    {
      ...{ id: 'getWalletLogo', method: 'get', path: '/v3/logo/{size}/{imageId}' },
      summary: 'Get the logo of a wallet',
      description: 'Leads to where the file says that the image is.',
      answer: FOUND,
      failures: NO_IMAGE,
      example: { params: { size: 'md', imageId: IMAGE_ID } },
    },
    {
      ...{ id: 'listWallets', method: 'get', path: '/getWallets' },
      summary: 'List wallets, as newer modals ask',
      description: 'A page of those that match; `order` is the place in the file.',
      query: GetWalletsQuery,
      answer: z.object({ data: z.array(Brief), count: z.number() }),
      example: {
        query: { entries: '1', page: '1', chains: 'eip155:1' },
        answer: {
          data: [
            {
              ...{ id: 'rook', name: 'Rook Wallet', homepage: 'https://rook.example', order: 1 },
              ...{ chains: ['eip155:1'], image_id: IMAGE_ID, rdns: null, mobile_link: 'rook://' },
              ...{ desktop_link: null, webapp_link: null, app_store: null, play_store: null, injected: null },
            },
          ],
          count: 1,
        },
      },
    },
    {
      ...{ id: 'getWalletImage', method: 'get', path: '/getWalletImage/{imageId}' },
      summary: 'Get the image of a wallet',
      description: 'Leads to where the file says that the image is.',
      answer: FOUND,
      failures: NO_IMAGE,
      example: { params: { imageId: IMAGE_ID } },
    },
  ],
}
