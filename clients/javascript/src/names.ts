/** Write a name of JavaScript as the server's names are: addToCart is add_to_cart. */
export const snakeCase = (name: string): string => name.replace(/[A-Z]/g, "_$&").toLowerCase();
