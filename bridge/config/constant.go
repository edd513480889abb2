package config

import "reflect"

// normalConstant is a value of request.set as the YAML would give it: a string, a bool,
// an int64, a uint64, a float64, or a []any of those. A Config that was filled in Go may
// have any type of those kinds. ok is false for what is none of them; the value is then
// returned as it is.
func normalConstant(value any) (any, bool) {
	v := reflect.ValueOf(value)
	if v.Kind() != reflect.Slice {
		return normalScalar(v, value)
	}

	list, ok := make([]any, v.Len()), true
	for i := range list {
		item := v.Index(i)
		if item.Kind() == reflect.Interface {
			item = item.Elem()
		}
		scalar, fits := normalScalar(item, v.Index(i).Interface())
		list[i], ok = scalar, ok && fits
	}

	return list, ok
}

func normalScalar(v reflect.Value, value any) (any, bool) {
	switch {
	case v.Kind() == reflect.String:
		return v.String(), true
	case v.Kind() == reflect.Bool:
		return v.Bool(), true
	case v.CanInt():
		return v.Int(), true
	case v.CanUint():
		return v.Uint(), true
	case v.CanFloat():
		return v.Float(), true
	default:
		return value, false
	}
}
