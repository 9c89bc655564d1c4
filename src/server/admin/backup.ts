/** `GET /admin/backup`: everything that the store holds, as it is at this moment, in one gzip file. */
import { Hono } from 'hono'
import { backupBytes } from '../../storage/transfer/backup.ts'
import type { Transfer } from '../../storage/transfer/transfer.ts'

/** `transfer` throws where this process has no store. */
export const adminBackup = (transfer: () => Transfer): Hono => {
  const app = new Hono()
  app.get('/admin/backup', () => {
    const snapshot = transfer().snapshot()
    const bytes = backupBytes(snapshot, Date.now())
    const chunks: AsyncIterator<Buffer<ArrayBuffer>> = bytes[Symbol.asyncIterator]()
    const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
      async pull(controller) {
        const { done, value } = await chunks.next()
        if (done) controller.close()
        else controller.enqueue(value)
      },
      cancel: () => void bytes.destroy(),
    })
    return new Response(body, { headers: { 'content-type': 'application/gzip' } })
  })
  return app
}
