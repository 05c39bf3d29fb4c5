"""What one patient may show: bounds, exact noise, prices and budgets."""
