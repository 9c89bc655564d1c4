/** What the kernel says of a process: of every Linux that Node runs on. */
import { readFile } from 'node:fs/promises'

const TICKS_PER_SECOND = 100

/** How long it has computed since it started, all threads together, in seconds. */
export const cpuOf = async (pid: number | undefined): Promise<number> => {
  // Behind the name, which may hold anything: state and ten more, then what it computed itself and in the kernel.
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  const [user, system] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13)
  return (Number(user) + Number(system)) / TICKS_PER_SECOND
}

/** Anonymous resident memory in bytes: heap and buffers, without mapped files. */
export const memoryOf = async (pid: number | undefined): Promise<number> => {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/RssAnon:\s+(\d+) kB/.exec(status)?.[1] ?? Number.NaN) * 1024
}
