// A host for `pgmesh-otel-processor.component.wasm` on Node: all that it takes to run it there.
import { transpile } from '@bytecodealliance/jco-transpile';

/**
 * Loads the component. What it returns has the functions of the contract in camel case; where the
 * contract says `error`, they throw it, as `{ tag, val }`.
 */
export async function load(file) {
  const { files } = await transpile(file, { name: 'processor', instantiation: 'async' });
  const script = Buffer.from(files['processor.js']).toString('base64');
  const { instantiate } = await import(`data:text/javascript;base64,${script}`);
  // The component imports nothing, so that there is nothing to provide.
  const instance = await instantiate((core) => WebAssembly.compile(files[core]), {});
  return instance.processor;
}
