# esbuild: bundles and minifies 300 modules, and refuses one with a mistake.
for n in $(seq 300); do
    printf 'export const value%d = (x) => { const y = x ?? %d; return `${y}:${y ** 2}` };\n' "$n" "$n" >"m$n.ts"
    printf 'import { value%d } from "./m%d";\nconsole.log(value%d(%d));\n' "$n" "$n" "$n" "$n" >>main.ts
done
"$BIN" main.ts --bundle --minify --target=es2018 --sourcemap=inline | sha256sum
"$BIN" main.ts --bundle --format=esm | sha256sum
echo 'let = ;' >wrong.js
"$BIN" wrong.js
echo "wrong $?"
