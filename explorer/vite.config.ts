import { defineConfig } from "vite";

// Two builds from one source: `index.html` for the server, `page.html` for the single file of an export; a third for the tests.
export default defineConfig(({ mode }) => {
  if (mode === "tests") return { build: { ssr: "tests/numbers.test.ts", outDir: "build/tests", emptyOutDir: true } };
  const entry = mode === "page" ? "page.html" : "index.html";
  return {
    base: "./",
    build: {
      target: "es2022",
      outDir: mode === "page" ? "build/page" : "build/server",
      emptyOutDir: true,
      modulePreload: { polyfill: false },
      chunkSizeWarningLimit: 2000,
      rollupOptions: {
        input: entry,
        output: {
          entryFileNames: "assets/explorer.js",
          chunkFileNames: "assets/[name].js",
          assetFileNames: "assets/[name][extname]",
        },
      },
    },
  };
});
